"""Detections, staged tables and sources: YAML and SQL, read and checked."""
