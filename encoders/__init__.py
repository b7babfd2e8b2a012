"""Encoders: one module per method. `catalog` lists them without importing any."""

from archrank.encoders.registry import encoder, encoding

if __name__ == "encoders":  # the folder of a checkout, found from its root
    raise ImportError(
        "this is archrank.encoders, imported from the root of archrank's repository under another name: import archrank.encoders"
    )

__all__ = ["encoder", "encoding"]
