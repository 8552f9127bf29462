"""Hunting queries in KQL turned into detections: YAML, a SELECT and a staged table.

- `importing`: files of queries into a project, planned, checked and written.
- `groups`: staged tables that imported hunts share.
- `cost`: what an import adds to the reading of the first night.
- `matching`: whether a query and its SQL still belong together.
- `reading`: files of queries, each as a `KqlQuery` (see `query`).
- `translating`: a query in SQL over staged tables, or a RefusalError with the construct and line.
- `translator`: the only module that loads duckdb-kql, the extra gundog[kql].
- `weaving`: how every row of a result carries the events behind it.
- `locating`: the line and column of a refusal.
- `windows`: a query with bins rewritten to true windows.
- `critic`: what a person should know of a query.
"""
