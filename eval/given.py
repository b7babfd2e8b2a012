"""What a user hands to an estimator, checked: architectures and scores. Every problem is one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace


def checked_graphs(graphs: Any, space: Any, who: str) -> Graphs:
    """The graphs as `Graphs` padded to the space's size, put together where scikit-learn took them apart.

    Args:
        graphs: `Graphs`, a list of single ones, or a list of what `SearchSpace.graphs` takes.
        space: the search space that they should belong to.
        who: the estimator, for messages.

    Raises:
        ArchrankError: they are no graphs, there are none, or they do not fit the space.
    """
    if not isinstance(space, SearchSpace):
        example = "encoder, benchmark.space" if who == "Predictor" else "benchmark.space"
        raise ArchrankError(f"{who} needs the search space: {who}({example})")
    if isinstance(graphs, (list, tuple)) and graphs:
        if all(isinstance(batch, Graphs) for batch in graphs):
            names = graphs[0].tensors()
            graphs = graphs[0].with_tensors(
                {name: torch.stack([batch.tensors()[name] for batch in graphs]) for name in names}
            )
        else:
            graphs = space.graphs(graphs)
    if not isinstance(graphs, Graphs):
        raise ArchrankError(
            f"architectures are given as Graphs (benchmark.graphs[...], space.graphs([...])), not as {type(graphs).__name__}"
        )
    if not len(graphs):
        raise ArchrankError("there is no architecture in what was given")
    if int(graphs.ops.max()) >= len(space.ops):
        raise ArchrankError(f"op {int(graphs.ops.max())} is unknown; space '{space.name}' has {len(space.ops)} ops")
    attributes = 0 if graphs.attrs is None else graphs.attrs.shape[-1]
    if space.attrs and attributes != len(space.attrs):
        raise ArchrankError(f"graphs have {attributes} node attributes, space '{space.name}' {len(space.attrs)}")
    if graphs.nodes > space.max_nodes:
        raise ArchrankError(
            f"graphs are padded to {graphs.nodes} nodes, space '{space.name}' to {space.max_nodes}; cut them, or fit on "
            f"space.opened(max_nodes={graphs.nodes})"
        )
    graphs = graphs if graphs.nodes == space.max_nodes else graphs.pad(space.max_nodes)
    if space.support is not None:
        outside = graphs.adj.any(0).cpu() & ~torch.from_numpy(space.support)
        if outside.any():
            u, v = outside.nonzero()[0].tolist()
            raise ArchrankError(
                f"an architecture has the edge {u} -> {v}, which no architecture of space '{space.name}' has; a predictor fitted on "
                "space.opened() takes any edge"
            )
    return graphs


def checked_scores(scores: ArrayLike, count: int, direction: str, seed: Any) -> NDArray[np.float64]:
    """Scores float64 [count], not all equal. ArchrankError for anything else, for a direction that is none, and for a
    seed that is no whole number from 0 on."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArchrankError(f"seed {seed!r}: seeds are whole numbers from 0 on")
    if direction not in ("max", "min"):
        raise ArchrankError(f"direction is max or min, not '{direction}'")
    try:
        values = np.asarray(scores, np.float64)
    except (TypeError, ValueError):
        raise ArchrankError("scores are numbers, one for each architecture") from None
    if values.shape != (count,):
        raise ArchrankError(f"{count} architectures but scores of shape {list(values.shape)}; give one score each")
    if not np.isfinite(values).all():
        raise ArchrankError(f"score {int(np.flatnonzero(~np.isfinite(values))[0])} is not a finite number")
    if len(np.unique(values)) < 2:
        raise ArchrankError("all scores are equal: there is no order to learn")
    return values
