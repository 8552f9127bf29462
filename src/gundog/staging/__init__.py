"""Lake files become rows of staged tables.

- `stage`: each file version read once per stage SQL.
- `batch`: what goes to a reader and comes back; what became of each file.
- `others`: batches that others read, and what of it is taken.
- `near`: a batch's files brought near to who reads them.
- `reading`: files to rows, a pure function of the files.
- `apart`, `rescue`: bad files and bad SQL, kept away from the good ones.
- `binding`: a file's columns, bound to its source.
- `json_lines`: JSON lines as parquet, which is read like any other.
- `json_look`, `json_sample`: which keys lines have, and when some of the lines tell it of all.
- `read_columns`: which columns of their source stages read.
- `tails`, `read_ends`: how far a growing file was read.
- `older_reads`: which stages have yet to read the newest version of a file.
- `staged_rows`, `day_counts`: what is kept of them in the warehouse.
"""
