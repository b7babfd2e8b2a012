"""`archrank bench`: what training and prediction cost, side by side with other ways of doing the same work.

`case` says what is measured and `subject` makes it ready; `runners` and `conventional` do the work, `desk` measures it,
in a process of its own that `worker` starts; `compare`, `against` and `growth` decide what is measured in which order;
`results` keeps every raw sample, and `summary` makes medians, ratios and exponents of them. The page and its figures
are made by `archrank.reports.bench_page`.
"""
