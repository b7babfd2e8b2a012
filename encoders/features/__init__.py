"""Encodings by plain features: adjacency, operations, sizes."""
