"""Custom benchmarks: graphs of common libraries and rows of files become a benchmark."""
