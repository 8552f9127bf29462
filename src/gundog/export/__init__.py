"""Findings for other tools: tables as files, OCSF events, an ATT&CK Navigator layer.

- `tables`: which tables and views there are, what `--since` means for each, and their rows.
- `files`: rows written as CSV, JSON lines or parquet.
- `ocsf`, `ocsf_parts`, `ocsf_columns`: findings as OCSF Detection Findings.
- `navigator`, `attack_ids`: covered and found techniques; which ids ATT&CK has.
- `delivery`: a finished file put where it is wanted, whole or not at all.

Everything is read from findings.duckdb; nothing is changed but the place that is written to.
"""
