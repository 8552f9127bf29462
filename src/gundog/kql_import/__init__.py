"""Hunting queries in KQL turned into detections: YAML, a SELECT and a staged table.

- `reading`: files of queries, each as a `KqlQuery`.
- `sentinel_yaml`: the keys of Sentinel's YAML.
- `query`: what a file says of one query.
"""
