"""The two decorators that make a class or a function an encoder, and what they leave on it. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

MARK = "__archrank__"
T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """What a decorator leaves on an encoder: its registered name, whether it is learned, its family in tables, whether
    a fixed encoding comes out of a pre-training or is a ranking by itself, what says which architectures it cannot
    hold, and which columns of a table it reads."""

    name: str
    learned: bool
    family: str
    pretrained: bool = False
    ranks: bool = False
    supports: Callable[..., str | None] | None = None
    head: str = ""
    blocks: Callable[[Any, Any], list[tuple[int, float]]] | None = None
    columns: tuple[str, ...] = ()
    portfolio: bool = False


@dataclass(frozen=True, eq=False)
class Part:
    """One predictor of a portfolio.

    encoder: its class or function, marked by one of the decorators here; not one that compares pairs. options: its
    options, for a learned one also `view` and `pretext` (one that reads no column). head, head_options: the regressor
    on a fixed encoding. share: of the recipe's updates that its networks make. recipe: other fields of the recipe
    ({"lr": 1e-3}). repeats: networks trained on all labels, beside one for each fold. cost: seconds that fitting it to
    390 labels and predicting 15,625 architectures takes on one core, as measured; what a limit is counted in.
    """

    encoder: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    head: str = ""
    head_options: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1
    cost: float = 1.0

    @property
    def learned(self) -> bool:
        """Whether the encoder is trained with its head."""
        return bool(getattr(self.encoder, MARK).learned)

    @property
    def encoder_name(self) -> str:
        """The encoder's registered name."""
        return str(getattr(self.encoder, MARK).name)

    @property
    def label(self) -> str:
        """What a report calls it, such as `gin[view=canonical]` or `base+gp`."""
        options, head_options = (
            "[" + ",".join(f"{name}={value}" for name, value in given.items()) + "]" if given else ""
            for given in (self.options, self.head_options)
        )
        return self.encoder_name + options + (f"+{self.head}{head_options}" if self.head else "")

    @property
    def built_in(self) -> bool:
        """Whether the encoder is part of archrank."""
        return str(self.encoder.__module__).startswith("archrank.")


def encoder(name: str, *, family: str = "yours") -> Callable[[T], T]:
    """Register a learned encoder: an `nn.Module` class made as `Class(space, **config)` whose `forward(graphs)` gives
    [B, dim].

    Keyword-only arguments of `__init__` are its configuration; where it hands `**options` on, those of its base class
    too. Hooks, found by their presence, be they defined, assigned or inherited:
    `paper_recipe(space) -> dict` and `paper_config(space) -> dict` (static): the published training and size;
    `twins(graphs) -> Graphs` (static): one equivalent relabelling of each architecture, for recipes with a consistency
    loss; `auxiliary_loss(self, graphs, embeddings) -> scalar`: added to the loss;
    `compare(self, a, b)`: for embeddings [..., dim] that broadcast, how much likelier a is better than b (log-odds);
    such an encoder is trained on pairs and ranks by Borda count;
    `states(self, graphs)`: a state of every node, [B, V, dim], for pretexts that ask about nodes;
    `supports(space) -> str | None` (static): why it cannot encode a space's architectures, in one line, or None; a run
    leaves it out there and says why. It may have parameters of the names of options, and `benchmark`, whose graphs it
    may look at; `invariant`: a true attribute of an instance that does not see the order of nodes, so that an
    architecture that is tested under several orders is predicted once.
    """
    return _mark(Mark(name, True, family))


def encoding(
    name: str,
    *,
    family: str = "yours",
    pretrained: bool = False,
    ranks: bool = False,
    supports: Callable[..., str | None] | None = None,
    head: str = "",
    blocks: Callable[[Any, Any], list[tuple[int, float]]] | None = None,
    columns: Sequence[str] = (),
) -> Callable[[T], T]:
    """Register a fixed encoding: a function `(graphs, space, *, ...) -> float [B, F]` that learns nothing from labels.

    It is called once with all architectures of a benchmark. pretrained: it trains on those unlabelled graphs (minutes);
    its result is then kept in the store by content, and its seconds are counted in the cost. ranks: it is one number, F
    = 1, higher meaning better, that ranks architectures without a label; it then has the head `none`, unless another
    one is asked for. supports: a function like the hook of `encoder`; a built-in encoding imports it by name from a
    module without torch, for planning asks it. head: the head it has where none is named (`mlp`).
    blocks: `(features, space) -> [(width, weight), ...]`, for an encoding made of parts in different units, side by
    side: a regressor sees each part scaled to a total variance of weight**2 over its training rows.
    columns: metrics of a benchmark's table that it reads, such as `parameters`, and that are no labels. It finds them
    in `graphs.columns`, float64 [B] each, where the table has them complete and they are not the target.
    """
    return _mark(Mark(name, False, family, pretrained, ranks, supports, head, blocks, tuple(columns)))


def portfolio(name: str, *, family: str = "yours") -> Callable[[T], T]:
    """Register a portfolio, a predictor made of several: a function `(space, *, ...) -> Portfolio`.

    It is fitted to the labels of a budget alone: cross-validation inside them decides what each part weighs
    (`eval.auto`).
    """
    return _mark(Mark(name, False, family, ranks=True, portfolio=True))


@dataclass(frozen=True, eq=False)
class Portfolio:
    """What a portfolio is made of.

    parts: its predictors; those that a space does not allow are left out by whoever fits it. refused: label -> why a
    predictor that was thought of is not among them. combine: how their predictions become one, `stacking` (least
    squares without negative weights), `selection` (greedy ensemble selection) or `mean`. folds: of the
    cross-validation.
    """

    parts: tuple[Part, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    combine: str = "stacking"
    folds: int = 5


def blocks_of(encoding: Any, features: Any, space: Any) -> list[tuple[int, float]] | None:
    """The blocks of an encoding's features [N, F]; None where it has but one."""
    blocks = getattr(getattr(encoding, MARK, None), "blocks", None)
    return blocks(features, space) if blocks else None


def columns_of(encoding: Any) -> tuple[str, ...]:
    """The columns of a table that an encoding reads."""
    mark: Mark | None = getattr(encoding, MARK, None)
    return mark.columns if mark else ()


def _mark(mark: Mark) -> Callable[[T], T]:
    def attach(thing: T) -> T:
        if mark.learned is not isinstance(thing, type):
            raise TypeError(
                f"@{'encoder' if mark.learned else 'encoding'} marks a {'class' if mark.learned else 'function'}, "
                f"which {getattr(thing, '__name__', thing)} is not; see @{'encoding' if mark.learned else 'encoder'}"
            )
        setattr(thing, MARK, mark)
        return thing

    return attach
