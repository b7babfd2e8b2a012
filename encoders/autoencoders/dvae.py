"""D-VAE: the code from which a recurrent decoder can rebuild an architecture node by node."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.autoencoders.limits import NODES, supports
from archrank.encoders.layers.dag_autoencoder import DagAutoencoder
from archrank.encoders.layers.pretraining import fit, in_chunks, seeded
from archrank.encoders.registry import encoding


@encoding("dvae", family="autoencoder", pretrained=True, supports=supports)
def dvae(
    graphs: Graphs,
    space: SearchSpace,
    *,
    latent: int = 56,
    hidden: int = 64,
    updates: int = 1500,
    batch: int = 32,
    lr: float = 3e-3,
    beta: float = 0.005,
    seed: int = 0,
) -> Tensor:
    """Latent means of a variational autoencoder whose encoder and decoder follow the flow of data.

    Source: Zhang et al., "D-VAE: A Variational Autoencoder for Directed Acyclic Graphs", NeurIPS 2019, and its code
    (muhanzhang/D-VAE, 3569a4a). Encoder: positions in topological order, each node's state a gated recurrent unit of
    its operation and of gated messages from its predecessors, once along the edges and once against them. Decoder: adds
    a node's operation, then its edges from the nearest earlier node to the farthest. A node tells its position with its
    state, so the encoding depends on the order of nodes, unlike the architecture.

    Returns float32 [B, latent]. Only graphs are read; equal seeds give equal encodings. Trained on the graphs alone:
    log-likelihood under the true history (teacher forcing) plus `beta` times the divergence from the prior; sampling
    noise is scaled by 0.01, as published, so this is close to a plain autoencoder.

    Published size: hidden=501, latent 56, batches of 32, learning rate 1e-4, 300 passes. The default (hidden 64, 1,500
    updates of 32 at 3e-3) is smaller, about a minute of one core on NAS-Bench-201. There the loss first settles at
    16.7, where the code is not used yet; at 1e-3 it stays there for 200 updates of 32, at 3e-3 for 100.

    Departures: positions are visited for a whole batch at once and all edge decisions about a node are one batch of
    partial sums, which gives the same likelihood; positions beyond the end of a small graph do not count (there they
    must be decoded as inputs); the learning rate falls linearly to 0 (there: on plateaus) and gradients are clipped at
    1; both cells of a two-cell space are one graph, read at both outputs and at all inputs.

    ArchrankError if architectures have more than 64 nodes.
    """
    if graphs.nodes > NODES:
        raise ArchrankError(
            f"dvae: architectures of space '{space.name}' have up to {graphs.nodes} nodes; its decoder "
            f"holds {NODES}; use another encoder here"
        )
    with seeded(seed, graphs.device):
        model = DagAutoencoder(len(space.ops), graphs.nodes, space.cells, hidden, latent).to(graphs.device)
        if updates and len(graphs):
            pretrain(model, graphs, updates=updates, batch=batch, lr=lr, beta=beta)
    return in_chunks(lambda chunk: model.encode(chunk)[0], graphs, 4096).float()


def pretrain(
    model: DagAutoencoder, graphs: Graphs, *, updates: int, batch: int, lr: float, beta: float = 0.005
) -> list[float]:
    """Train `model` in place to rebuild `graphs`; the loss of every update."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    return fit(
        lambda index: model.loss(graphs[index], beta),
        len(graphs),
        optimizer,
        updates=updates,
        batch=batch,
        device=graphs.device,
        clip=1.0,
        name="dvae",
    )
