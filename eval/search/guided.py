"""Pools in which an encoding decides what is drawn, and what is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.eval.search.pool import Ids, Pool
from archrank.eval.trials.specs import Spec, parse_list

Floats = NDArray[np.float64]
ROLES = ("sample", "perturb")
NEAREST = 20


def split_guides(options: dict[str, Any], reach: str = "apart") -> tuple[dict[str, Any], dict[str, Spec]]:
    """A strategy's own options, and the encodings that its options `sample` and `perturb` name.

    Every strategy takes both: the encoding by which architectures are drawn, and by which they are near each other
    (White et al., "A Study on Neural Architecture Encodings", NeurIPS 2020).

    Raises:
        ArchrankError: no such encoder, or one that is learned with its head.
    """
    guides = {}
    for role in ROLES:
        if role in options:
            spec = parse_list([str(options[role])], "here" if reach == "here" else "apart")[0]
            if spec.info.learned:
                raise ArchrankError(f"option {role} takes a fixed encoding such as adjacency or cate, not {spec.label}")
            guides[role] = spec
    return {name: value for name, value in options.items() if name not in ROLES}, guides


def subroutine_strategies(specs: Sequence[Spec]) -> list[str]:
    """The strategies that try each encoding in each of the three subroutines alone: to sample (in random search), to
    perturb (in evolution) and, with the head that was named, to predict (in BANANAS); and the two without.

    Raises:
        ArchrankError: an encoder that is learned, or named with options.
    """
    named = dict.fromkeys(spec.info.name for spec in specs)
    for spec in specs:
        if spec.config or spec.info.learned:
            raise ArchrankError(f"--subroutines takes fixed encodings without options, with a head; not {spec.label}")
    return [
        "random",
        *(f"random[sample={name}]" for name in named),
        "evolution",
        *(f"evolution[perturb={name}]" for name in named),
        "bananas",
    ]


def subroutine_of(label: str) -> tuple[str, str] | None:
    """(subroutine, encoding) of a search's label, as `subroutine_strategies` has them; None of any other."""
    for role, strategy in (("sample", "random"), ("perturb", "evolution")):
        start = f"{strategy}[{role}="
        if label.startswith(start) and label.endswith("]"):
            return role, label[len(start) : -1]
    start = "bananas / "
    return ("predict", label[len(start) :].partition("+")[0]) if label.startswith(start) else None


@dataclass(frozen=True, eq=False)
class GuidedPool(Pool):
    """A pool seen through encodings. sampled, perturbed: float [C, F], or None where that subroutine is the pool's own.

    To draw by an encoding is to draw a point whose coordinates are independent, each as it occurs in the pool, and to
    take the candidate nearest to it: uniform over what the encoding can write, not over architectures. To perturb by
    it is to go to one of the 20 candidates nearest in Euclidean distance.

    Departures: White et al. reject points that decode to no architecture, and flip one symbol; both are defined for
    any encoding here, learned ones included (as CATE has it, by Euclidean distance).
    """

    base: Pool | None = None
    sampled: Floats | None = None
    perturbed: Floats | None = None
    known: dict[int, Ids] = field(default_factory=dict)

    @classmethod
    def over(cls, pool: Pool, encodings: dict[str, Floats]) -> GuidedPool:
        """encodings: of the whole table [N, F], by role."""
        seen = {role: table[pool.rows] for role, table in encodings.items()}
        return cls(pool.benchmark, pool.rows, pool.candidate, pool, seen.get("sample"), seen.get("perturb"))

    @property
    def points(self) -> Floats:
        """The encoding [C, F] of option `perturb`. ArchrankError where there is none."""
        return super().points if self.perturbed is None else self.perturbed

    def neighbours(self, candidate: int) -> Ids:
        """The 20 candidates nearest in the encoding, nearest first."""
        if self.perturbed is None:
            assert self.base is not None
            return self.base.neighbours(candidate)
        if candidate not in self.known:
            gaps = ((self.perturbed - self.perturbed[candidate]) ** 2).sum(1)
            gaps[candidate] = np.inf
            # Of candidates equally far, some at random, the same in every repeat.
            order = np.random.default_rng(candidate).permutation(len(gaps))
            self.known[candidate] = order[np.argsort(gaps[order], kind="stable")[: min(NEAREST, len(gaps) - 1)]]
        return self.known[candidate]

    def draw(self, rng: np.random.Generator, count: int, without: set[int] | None = None) -> list[int]:
        """As `Pool.draw`, by the encoding; uniformly once it proposes nothing new any more."""
        if self.sampled is None:
            return super().draw(rng, count, without)
        without, drawn = without or set(), dict[int, None]()
        columns = np.arange(self.sampled.shape[1])
        squares = (self.sampled * self.sampled).sum(1)
        for _ in range(20):
            if len(drawn) >= count:
                break
            picked = rng.integers(len(self), size=(count, len(columns)))
            gaps = squares - 2 * self.sampled[picked, columns] @ self.sampled.T
            drawn |= dict.fromkeys(item for item in gaps.argmin(1).tolist() if item not in without)
        drawn |= dict.fromkeys(super().draw(rng, max(0, count - len(drawn)), without | set(drawn)))
        return [*drawn][:count]
