"""Benchmarks that ship inside the package: one Parquet table and one JSON card each."""
