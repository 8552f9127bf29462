"""Scores of hourly series: plain sums over arrays, without a database.

- `hour_scores`: how rarely a clean night of such a series scores so high.
- `baseline`, `surprise`, `calibration`: the parts of that score.
- `kql`: Kusto's series functions.
"""
