"""Examples and mutations of detections.

- `examples`: source events in, findings out, through the SQL that production runs.
- `mutations`: examples moved, cut, doubled and respelled.
- `drill`, with `attacks` and `overlay`: attacks of stated size over your own nights.
- `trying`: both in a child process, for `gundog test`.
"""
