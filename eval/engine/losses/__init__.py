"""Losses of a whole ensemble at once: M members, B architectures each, one loss per member [M]. A module per kind;
listing them imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from archrank.datasets.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOSSES", "Loss", "loss"]

Over = Literal["scores", "pairs", "odds"]


@dataclass(frozen=True)
class Loss:
    """A loss by its name, as `@loss` makes it.

    function: see `loss`. over: what it is a loss of. ties: whether its pairs include those with equal labels.
    """

    name: str
    function: Callable[..., Tensor]
    over: Over = "scores"
    ties: bool = False

    def __call__(self, *tensors: Tensor, **options: Any) -> Tensor:
        """The loss [M]; arguments as its function takes them."""
        return self.function(*tensors, **options)


def loss(name: str, *, over: Over = "scores", ties: bool = False) -> Callable[[Callable[..., Tensor]], Loss]:
    """Register a loss: a function that gives [M], one value per member. Its keyword-only arguments are options of a
    recipe (`loss_options`).

    Args:
        name: as recipes write it.
        over: `scores`: the function takes scores and labels [M, B], higher is better in both. `pairs`: also the pairs
            to compare, bool [M, B, B].
            `odds`: log-odds [M, B, B] that row beats column, from an encoder that compares, and labels [M, B].
        ties: whether pairs of equal labels are among the pairs.
    """

    def attach(function: Callable[..., Tensor]) -> Loss:
        return Loss(name, function, over, ties)

    return attach


LOSSES: Registry[Loss] = Registry("loss", "losses", __name__, Loss, ("loss",))
