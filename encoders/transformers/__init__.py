"""Transformers over the nodes of an architecture: every node may look at every other, and the graph says how."""
