"""SQL over staged tables becomes hits; hourly counts become scores, and scores hits.

- `single_hunt`: one detection over one interval, in a child process.
- `match`: hits of a match detection.
- `series`: hits of a series detection; `counts` has its hourly counts, `scoring` its scores.
- `kusto`: series scored as Kusto does.
- `tenancy`: each tenant hunted as if the lake held nobody else.
"""
