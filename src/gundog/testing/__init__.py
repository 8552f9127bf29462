"""Examples and mutations of detections.

- `examples`: source events in, findings out, through the SQL that production runs.
- `mutations`: examples moved, cut, doubled and respelled.
- `trying`: both in a child process, for `gundog test`.
"""
