"""Hunts a parquet event lake every night and keeps what it finds where SQL can reach it."""

__version__ = "0.1.0"
