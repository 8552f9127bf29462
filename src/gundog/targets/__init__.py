"""Places that every run publishes to besides findings.duckdb: the targets of `publishTo:`.

- `config`: what gundog.yaml says of them.
- `sections`: the published rows in sections, one table and day each, and a digest of each.
- `file_store`, `parquet`: parquet files in a folder or bucket, and the manifest that names them.
- `postgres`, `postgres_tables`, `postgres_rows`: tables in PostgreSQL.
- `publishing`: one target brought up to date.

A target is compared with what is published and gets only what differs, so one that was down
catches up by itself, and publishing twice changes nothing.
"""
