"""Trials: what is trained and stored once, from its specification to its record."""
