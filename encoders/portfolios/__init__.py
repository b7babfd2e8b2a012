"""Portfolios: predictors that are made of several."""
