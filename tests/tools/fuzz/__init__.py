"""Fuzzing: everything archrank reads, mutated; see `__main__`."""
