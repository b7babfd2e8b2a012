"""Encodings pre-trained by cross-attention between architectures."""
