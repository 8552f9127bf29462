"""The made-up lake in parquet_samples/."""
