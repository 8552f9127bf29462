"""Hits stored, hidden, triaged, published and forgotten."""
