"""What a trained ensemble says of architectures: scores and embeddings, in few large batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from archrank.datasets.canonical import relabelled_alike
from archrank.datasets.graphs import Graphs
from archrank.eval.engine.batching import Rows
from archrank.eval.engine.ensemble import Ensemble

# Operations of a space, as long as it is held -> what `relabelled_alike` says of it.
_alike = WeakIdKeyDictionary()


def prepared(ensemble: Ensemble, graphs: Graphs) -> Graphs:
    """The graphs on the ensemble's device, with everything that its networks derive from them; what the graphs hold, as
    features of a fixed encoding, stays."""
    there = graphs.to(ensemble.device)
    probe = there[:2]
    with torch.no_grad():
        ensemble.skeleton(probe, "embed")
    return there.prepare(probe)


@torch.no_grad()
def predict(
    ensemble: Ensemble,
    graphs: Graphs,
    tests: Sequence[Rows],
    pairs: bool = False,
    weights: dict[str, Tensor] | None = None,
    chunk: int = 4096,
) -> list[NDArray[np.float64]]:
    """Scores of each member's own test rows (any numbers of rows), in few large batches; with `pairs` Borda counts over
    its test rows."""
    longest = max(len(test) for test in tests)
    index = torch.stack([torch.as_tensor(np.resize(test, longest), device=graphs.device) for test in tests])
    width = max(64, chunk // ensemble.size)
    parts = []
    for start in range(0, longest, width):
        out = ensemble.call(graphs[index[:, start : start + width]], "embed" if pairs else "score", parameters=weights)
        parts.append(out if pairs else out[0])
    scores = torch.cat(parts, 1)
    if pairs:
        scores = borda(ensemble, scores, [len(test) for test in tests], weights)
    return [scores[m, : len(test)].double().cpu().numpy() for m, test in enumerate(tests)]


def predict_once(
    ensemble: Ensemble, graphs: Graphs, tests: Sequence[Rows], weights: dict[str, Tensor] | None = None
) -> list[NDArray[np.float64]]:
    """As `predict`, for an encoder that does not see the order of nodes: of test rows that are one graph in different
    orders, one is predicted for all."""
    if graphs.attrs is not None:
        return predict(ensemble, graphs, tests, weights=weights)
    alike = same_in_any_order(graphs)
    unique_rows = [np.unique(alike[test], return_index=True, return_inverse=True)[1:] for test in tests]
    scores = predict(ensemble, graphs, [test[first] for test, (first, _) in zip(tests, unique_rows)], weights=weights)
    return [scored[places] for scored, (_, places) in zip(scores, unique_rows)]


def same_in_any_order(graphs: Graphs) -> NDArray[np.int64]:
    """`relabelled_alike` of a space's graphs [N], computed once for all ensembles that predict it."""
    if graphs.ops not in _alike:
        parts = (graphs.ops, graphs.adj, graphs.mask, graphs.cell)
        _alike[graphs.ops] = relabelled_alike(*(part.cpu().numpy() for part in parts))
    numbers: NDArray[np.int64] = _alike[graphs.ops]
    return numbers


def borda(
    ensemble: Ensemble, embeddings: Tensor, counts: Sequence[int], weights: dict[str, Tensor] | None, chunk: int = 256
) -> Tensor:
    """Borda count [M, N] of embeddings [M, N, dim]: the expected number of the member's own test architectures each one
    beats."""
    real = (
        torch.arange(embeddings.shape[1], device=embeddings.device)
        < torch.tensor(counts, device=embeddings.device)[:, None]
    )
    parts = [
        (torch.sigmoid(ensemble.compare(embeddings[:, i : i + chunk], embeddings, weights)) * real.unsqueeze(1)).sum(-1)
        for i in range(0, embeddings.shape[1], chunk)
    ]
    return torch.cat(parts, 1)


@torch.no_grad()
def encode(
    ensemble: Ensemble, graphs: Graphs, member: int, rows: Rows, weights: dict[str, Tensor] | None = None
) -> NDArray[np.float32]:
    """Embeddings [n, dim] that one member gives some rows."""
    index = torch.as_tensor(rows, device=graphs.device).expand(ensemble.size, -1)
    return ensemble.call(graphs[index], "embed", parameters=weights)[member].float().cpu().numpy()
