"""Errors, times, YAML fields, harmless text and plain values: what every package may use."""
