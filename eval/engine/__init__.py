"""Training: recipes, heads, losses, batches, ensembles of members, one step, whole trainings."""
