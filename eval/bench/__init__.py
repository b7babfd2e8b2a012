"""`archrank bench`: what training and prediction cost, side by side with other variants of the same work.

`case` says what is measured and `prepared_case` makes it ready; `runners` and `conventional` do the work, `server`
measures it, in a process of its own that `worker` starts; `compare`, `compare_command` and `growth` decide what is
measured in which order; `results` keeps every raw sample, and `summary` makes medians, ratios and exponents of them.
The page and its figures are made by `archrank.reports.bench_page`.
"""
