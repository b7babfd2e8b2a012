"""Heads that are fitted to fixed encodings, one member at a time."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.batching import Member
from archrank.eval.engine.heads import HEADS, Fitted, FittedWithStd, Regressor
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.training import Outcome


def fit_regressor(
    name: str,
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    seed: int,
    options: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit the head of that name to features [n, F] and labels [n], higher is better; it has `predict`, and `std` if it
    can.

    seed: a member's. ArchrankError for an unknown head, a neural one, or one whose package is not installed.
    """
    head = HEADS[name]
    if not isinstance(head, Regressor):
        raise ArchrankError(f"head {name} is trained by the harness, not fitted to features")
    head.check_installed()
    return head.fit(features, labels, derive_seed(seed, "regressor") % 2**32, **(options or {}))


def checked_features(name: str, features: Any, count: int) -> torch.Tensor:
    """What an encoding's function gave for so many architectures, [count, F] on the CPU; ValueError unless it holds
    finite, real numbers."""
    checked = torch.as_tensor(features).detach().cpu()
    if checked.dim() != 2 or len(checked) != count:
        raise ValueError(f"encoding '{name}' must give [N, F]; for {count} architectures it gave {list(checked.shape)}")
    if checked.is_complex():
        raise ValueError(
            f"encoding '{name}' gives complex numbers; give real ones, such as their real and imaginary parts or magnitudes"
        )
    if not checked.double().isfinite().all():
        raise ValueError(f"encoding '{name}' gives values that are not finite")
    return checked


def same_features(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether two encodings of the same architectures [n, F] are the same, to rounding."""
    return first.shape == second.shape and np.allclose(first, second, rtol=1e-5, atol=1e-8)


def block_scales(training: NDArray[np.float64], blocks: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    """Factors [F] that give each block of the training rows [n, F] a total variance of weight**2. blocks: (width,
    weight), in order, F in all."""
    widths, weights = (np.array(part) for part in zip(*blocks))
    total = np.add.reduceat(training.var(0), np.r_[0, widths[:-1].cumsum()])
    return np.repeat(np.where(total > 0, weights / np.sqrt(np.where(total > 0, total, 1.0)), 0.0), widths)


def fit_predict(
    features: NDArray[np.float64], member: Member, name: str, options: Mapping[str, Any] | None = None
) -> Outcome:
    """Fit a head on a member's training rows, predict its test rows. features: float [N, F], one row per architecture
    of the benchmark."""
    train = features[member.train]
    HEADS[name]  # imported before the clock starts
    start = time.perf_counter()
    if name != "none" and not (train != train[0]).any():
        return Outcome(
            np.zeros(len(member.test)),
            0.0,
            0.0,
            0,
            features.shape[1],
            problem="all training architectures have one encoding",
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = fit_regressor(name, train, member.labels, member.seed, options)
    fit_s = time.perf_counter() - start
    notes = sorted({f"{name}: {_sentence(str(w.message))}" for w in caught if "Convergence" in w.category.__name__})
    start = time.perf_counter()
    predictions = np.asarray(fitted.predict(features[member.test]), np.float64)
    predict_s = time.perf_counter() - start
    encodings = None if member.encode is None else features[member.encode].astype(np.float32)
    outcome = Outcome(predictions, fit_s, predict_s, 0, features.shape[1], encodings, notes)
    if isinstance(fitted, FittedWithStd):
        outcome.half_width = NormalDist().inv_cdf(0.95) * np.asarray(fitted.std(features[member.test]), np.float64)
    return outcome


def _sentence(text: str) -> str:
    """The first sentence of a message."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]
