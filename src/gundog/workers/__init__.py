"""Batches of lake files read by the workers of a Dask cluster, while the run stores.

- `config`: what gundog.yaml says of the cluster.
- `task`: what goes to a worker and comes back, as bytes.
- `remote`: a worker's side.
- `cluster`: the run's side: who reads which batch, and what is done when somebody does not.
- `client`: the connection to the scheduler, with a limit on every wait.

Only `client` imports Dask, and only when a run with `workers:` has something to read.
"""
