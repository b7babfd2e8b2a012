"""Encoders that follow the flow of information."""
