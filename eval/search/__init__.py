"""Search: which predictor finds a good architecture soonest.

`pool` holds the candidates and their neighbours, `strategies` decide what to query next, `surrogate` fits a predictor
to what was queried, `loop` runs repeats of one search in step, `traces` scores and keeps what came out, `study` lets a
user ask and tell. Strategies and pools know neither torch nor encoders.
"""
