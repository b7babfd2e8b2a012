"""One predictor made of several: a portfolio fitted to the labels of a budget, weighted by cross-validation."""
