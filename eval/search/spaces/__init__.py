"""Search spaces as generators of candidates, for searches without a table."""
