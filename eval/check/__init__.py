"""Is an encoder fit for the suite? The checks behind `archrank check`, and the contract tests of every built-in
encoder: `answers` and `training` hold them, `running` runs them on an encoder that `checked` makes.

They need no data and no GPU: architectures are random cells (`archrank.eval.synthetic`).
"""

from archrank.eval.check.running import Finding, check, steps, steps_apart, summary

__all__ = ["Finding", "check", "steps", "steps_apart", "summary"]
