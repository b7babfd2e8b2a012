"""What the cells are trained on: an object that gives images and labels.

Another task is one more `DigitsTask`; the builder takes any. The shipped one is scikit-learn's handwritten digits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import DataError


@dataclass(frozen=True)
class DigitsTask:
    """A small image classification task with a fixed split.

    images: float32 [N, H, H], square, one channel, background 0. labels: int64 [N], classes 0..K-1.
    train, validation, test: disjoint index arrays into both.

    Raises DataError when shapes disagree, a number is not finite, a class is missing from the training part, or the
    parts overlap.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or len(self.images) != len(self.labels):
            raise DataError(f"task {self.name}: images need [N, H, W] with one label each, got {self.images.shape}")
        if self.images.shape[1] != self.images.shape[2] or self.images.shape[1] < 4:
            raise DataError(
                f"task {self.name}: images are squares of 4 x 4 pixels or more, got {self.images.shape[1:]}"
            )
        if not np.isfinite(self.images).all():
            raise DataError(f"task {self.name}: an image holds a number that is not finite")
        parts = np.concatenate([self.train, self.validation, self.test])
        if len(np.unique(parts)) != len(parts):
            raise DataError(f"task {self.name}: an image is in two of the parts train, validation, test")
        if set(self.labels[self.train].tolist()) != set(range(self.classes)):
            raise DataError(f"task {self.name}: the training part does not hold every class 0..{self.classes - 1}")

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    @property
    def sha256(self) -> str:
        """Digest of everything a training sees, so that a journal of another task is never continued."""
        digest = hashlib.sha256(self.name.encode())
        for array in (self.images, self.labels, self.train, self.validation, self.test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @classmethod
    def split(
        cls,
        name: str,
        images: NDArray[np.generic],
        labels: NDArray[np.generic],
        *,
        train: int,
        validation: int,
        test: int | None = None,
        seed: int = 0,
    ) -> DigitsTask:
        """A task from images [N, H, W] and labels [N]: a seeded random split into the given part sizes (test: the
        rest)."""
        total = len(labels)
        test = total - train - validation if test is None else test
        if min(train, validation, test) < 1 or train + validation + test > total:
            raise DataError(f"task {name}: cannot split {total} images into {train} + {validation} + {test}")
        order = np.random.default_rng(seed).permutation(total)
        ends = np.cumsum([train, validation, test])
        return cls(
            name,
            np.ascontiguousarray(images, dtype=np.float32),
            np.ascontiguousarray(labels, dtype=np.int64),
            *(np.sort(part) for part in np.split(order[: ends[-1]], ends[:-1])),
        )


def digits(train: int = 500, validation: int = 250, test: int | None = 700) -> DigitsTask:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, 10 classes, scaled to 0..1."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return DigitsTask.split("digits", data.images / 16.0, data.target, train=train, validation=validation, test=test)
