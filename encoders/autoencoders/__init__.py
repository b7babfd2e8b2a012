"""Encodings pre-trained by reconstructing graphs."""
