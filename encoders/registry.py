"""The two decorators that make a class or a function an encoder, and what they leave on it. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    in `graphs.columns`, float64 [B] each, where the table has them without holes and they are not the target.
    """
    return _mark(Mark(name, False, family, pretrained, ranks, supports, head, blocks, tuple(columns)))


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
