"""What lets many members train as one: per-member noise, stacked and fused functions."""
