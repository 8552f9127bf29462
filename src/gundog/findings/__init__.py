"""Hits stored, hidden, triaged, published and forgotten.

- `model`: hits, and what storing them changed.
- `storing`: hits become findings, so that hunting twice changes nothing.
- `suppression`, `exceptions`: which findings are kept but not sent, and why.
- `publish`, `reader`: findings.duckdb, written and read.
- `triage`: what people say of findings.
- `retention`, `purging`: what goes, when it is old or on request.
"""
