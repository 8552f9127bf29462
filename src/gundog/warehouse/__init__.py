"""The DuckDB file, its tables, and reading SQL safely.

- `database`: connections, transactions, and the lock that keeps runs apart.
- `tables`, `run_tables`: every table, with the sentence that explains each column.
- `upgrading`: tables of an older gundog brought up to date, those of a newer one refused.
- `statement`, `functions`: SQL of others, read before it runs.
- `own_functions`: functions that gundog gives to SQL, where it runs and where it is bound.
- `query`, `locks`: SQL of others, run where it reaches nothing else.
- `quoting`: names and texts written into SQL.
- `contexts`, `context_values`, `context_columns`: who does what from where, and since when.
- `redeliveries`: which row of an event that came twice counts.
"""
