"""The DuckDB file, its tables, and reading SQL safely."""
