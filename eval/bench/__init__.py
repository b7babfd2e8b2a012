"""`archrank bench`: what training and prediction cost, side by side with other ways of doing the same work.

`case` says what is measured, `runners` and `conventional` do the work, `worker` does it in a process of its own, `compare`, `against` and `growth`
decide what is measured in which order, `results` keeps every raw sample, and `summary` makes medians, ratios and exponents of them (no torch).
"""
