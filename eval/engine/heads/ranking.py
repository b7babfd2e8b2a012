"""The head of an encoding that is a ranking by itself."""

from __future__ import annotations

from archrank.eval.engine.heads import Fitted, Floats, regressor


@regressor("none")
def none(features: Floats, labels: Floats, seed: int) -> Fitted:
    """Nothing is fitted: the encoding's one number is the score."""
    if features.shape[1] != 1:
        raise ValueError(f"an encoding that ranks by itself is one number; this one has {features.shape[1]}")
    return AsItIs()


class AsItIs:
    """Predicts the one feature [n, 1] itself."""

    def predict(self, features: Floats) -> Floats:
        """[n]."""
        return features[:, 0]
