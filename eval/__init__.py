"""Training and scoring predictors: metrics, the training engine, trials, who runs them, search, statistics."""

if __name__ == "eval":  # the folder of a checkout, found from its root
    raise ImportError(
        "this is archrank.eval, imported from the root of archrank's repository under another name: import archrank.eval"
    )
