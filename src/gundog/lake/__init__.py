"""Paths, object stores, listing, and a file brought near."""
