"""What the three forms of one network cost: `python -m tests.encoders.bench_backends [graphs per batch]`.

One line per encoder and backend: CPU milliseconds (one thread, median of the repeats) of a training step (forward and
backward) on NAS-Bench-201 cells, of which making the library's flat batch, and the largest difference to the dense
form.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time

import numpy as np
import torch

from archrank.datasets.graphs import Graphs
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.layers.messages import messages
from tests.encoders import spaces

REPEATS = 15
KINDS = {"gcn": (NeuralPredictorGCN, {"dropout": 0.0}), "gin": (GIN, {}), "gated_gcn": (GatedGCN, {})}


def bare(graphs: Graphs) -> Graphs:
    return Graphs(graphs.ops, graphs.adj, graphs.mask, graphs.cell)


def milliseconds(call) -> float:
    taken = []
    for _ in range(REPEATS + 3):
        start = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken[3:])


def main(count: int) -> None:
    torch.set_num_threads(1)
    space = spaces.nasbench201()
    graphs = spaces.nasbench201_graphs(np.random.default_rng(0).integers(1, 6, (count, 6)).tolist())
    backends = ["dense", "pyg"] + (["dgl"] if importlib.util.find_spec("dgl") else [])
    print(f"{count} graphs of 8 nodes, one thread, torch {torch.__version__}; CPU ms per training step")
    for name, (kind, options) in KINDS.items():
        torch.manual_seed(0)
        dense = kind(space, dim=64, **options).eval()
        with torch.no_grad():
            expected = dense(graphs)
        for backend in backends:
            model = kind(space, dim=64, backend=backend, **options).eval()
            model.load_state_dict(dense.state_dict())
            with torch.no_grad():
                apart = float((model(graphs) - expected).abs().max())
            step = milliseconds(lambda model=model: model(graphs).square().sum().backward())
            made = 0.0 if backend == "dense" else milliseconds(lambda backend=backend: messages(backend, bare(graphs)))
            print(
                f"{name:10s} {backend:6s} step {step:7.1f}   of which batch {made:6.1f}   difference {apart:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
