"""Detections, staged tables and sources: YAML and SQL, read and checked.

- `hunt`: what content folders hold once they are read (`Content`, `Hunt`).
- `staged`: source tables and staged tables (`Source`, `StagedTable`).
- `detection`: one detection's YAML as a value.
- `content`: reads folders with DuckDB; a project loads it in a child process.
- `content_folder`: where the shipped content lies.
- `command_lines`, `cmdlets`, `records`: functions that stage SQL may call.
"""
