"""Encoders: one module per method. `catalog` lists them without importing any."""

from archrank.encoders.registry import encoder, encoding

__all__ = ["encoder", "encoding"]
