"""Who trains the groups of a plan: this process, or worker processes."""
