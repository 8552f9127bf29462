"""Paths, object stores, listing, and a file brought near.

- `path`, `layout`: where files lie, and which time a path names.
- `listing`: which files lie in which hours (`file_version` is one of them).
- `latest`: the newest files of a path, and what is there when none match.
- `exporters`, `time_formats`: what exporters call columns, and how they write times.
- `survey`, `template_guess`, `urls`: the tables of a container that nobody has described.
- `delta`: which files a Delta table's newest snapshot has.
- `json_text`: JSON lines unpacked, and cut at whole lines.
- `fetch`: a file brought to this machine, whole or in part.
- `object_store`, `refusals`: stores, and their errors in plain words.
"""
