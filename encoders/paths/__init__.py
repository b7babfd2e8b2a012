"""Encodings by paths from input to output."""
