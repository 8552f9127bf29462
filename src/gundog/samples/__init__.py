"""The made-up lake in parquet_samples/.

- `files`: writes it, the same to the byte every time.
- `cases`: what is planted, and what must come of it.
- `noise`, `plants`, `rows`: what the files hold.
"""
