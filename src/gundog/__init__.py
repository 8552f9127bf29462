"""Hunts a parquet event lake every night and keeps what it finds where SQL can reach it."""
