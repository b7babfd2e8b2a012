"""arch2vec: encodings from a graph autoencoder that has never seen a score."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.norm import MaskedBatchNorm, RealNodes
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.layers.pretraining import Packed, fit, in_chunks, seeded
from archrank.encoders.registry import encoding


@encoding("arch2vec", family="autoencoder", pretrained=True)
def arch2vec(
    graphs: Graphs,
    space: SearchSpace,
    *,
    latent: int = 16,
    hidden: int = 128,
    layers: int = 4,
    dropout: float = 0.3,
    updates: int = 4400,
    batch: int = 32,
    lr: float = 1e-3,
    kl: float = 0.004,
    seed: int = 0,
    faithful: bool = False,
) -> Tensor:
    """Mean over nodes of the latent means of a variational graph autoencoder, trained on the graphs alone.

    Source: Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?",
    NeurIPS 2020, and its code (MSU-MLSys-Lab/arch2vec, ea01b0c). Encoder: graph isomorphism layers (Xu et al. 2019) on
    the undirected graph, one 16-number normal distribution per node; decoder: operations from a linear map of a node's
    sample, edges from the inner products of two. Edge directions are invisible to the encoder. Invariant to the order
    of nodes.

    Returns float32 [B, latent] (cells side by side in two-cell spaces). 122,907 parameters on NAS-Bench-201 with the
    decoder. Defaults are the published ones: 4 layers of 128, batches of 32, Adam, clipping at 5; 4,400 updates are its
    10 passes over nine tenths of NAS-Bench-201. Only graphs are read; equal seeds give equal encodings.

    kl: weight of the divergence from the prior. Published: 1 / (batch * nodes), which is 0.004 on NAS-Bench-201, hardly
    a variational model; the default keeps that figure whatever the batch and the space.
    faithful: the official code where it differs: operations decoded by independent sigmoids (its softmax setting is
    never read), both losses averaged over padding and over the empty half of the adjacency matrix, padding rows
    in the normalisation and in the mean over nodes, and the published `kl`.

    Departures: all architectures are trained on (there: the first nine tenths), reshuffled every pass.
    """
    with seeded(seed, graphs.device):
        model = GraphAutoencoder(len(space.ops), latent, hidden, layers, dropout).to(graphs.device)
        model.whole = bool(real_nodes(graphs, faithful).all())
        if updates and len(graphs):
            pretrain(model, graphs, updates=updates, batch=batch, lr=lr, kl=kl, faithful=faithful)
    model.eval()

    def means(chunk: Graphs) -> Tensor:
        mu, _ = model.encode(chunk, real_nodes(chunk, faithful))
        return mu.mean(-2) if faithful else mean_pool(mu, chunk, space.cells)

    return in_chunks(means, graphs, 4096).float()


def pretrain(
    model: GraphAutoencoder, graphs: Graphs, *, updates: int, batch: int, lr: float, kl: float, faithful: bool = False
) -> list[float]:
    """Train `model` in place to reconstruct `graphs`; the loss of every update."""
    weights = Packed(model)
    optimizer = torch.optim.Adam([weights.row], lr=lr, fused=True)
    graphs.derive("arch2vec/linked", _linked)  # computed here for all, so that batches gather it
    return fit(
        lambda index: model.loss(graphs[index], kl, faithful),
        len(graphs),
        optimizer,
        updates=updates,
        batch=batch,
        device=graphs.device,
        decay=False,
        clip=5.0,
        name="arch2vec",
        backward=weights.backward,
    )


def real_nodes(graphs: Graphs, faithful: bool) -> Tensor:
    """bool [B, V]: nodes that count; padding is among them in the published form."""
    return torch.ones_like(graphs.mask) if faithful else graphs.mask


class GraphAutoencoder(nn.Module):
    """Variational graph autoencoder: graph isomorphism layers in, linear operations and inner-product edges out.

    whole: every node of every graph that it is given counts, so that nothing has to be masked.
    """

    whole = False

    def __init__(self, ops: int, latent: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.ops = ops
        self.layers = nn.ModuleList(Isomorphism(ops if i == 0 else hidden, hidden) for i in range(layers))
        self.mean, self.log_sigma = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.drop = Dropout(dropout)
        self.guess = nn.Linear(latent, ops)

    def inputs(self, graphs: Graphs) -> Tensor:
        """One-hot operations float [B, V, ops], zero on padding."""
        onehot = torch.eye(self.ops, dtype=self.guess.weight.dtype, device=graphs.device)[graphs.ops]
        return onehot * graphs.mask.unsqueeze(-1)

    def encode(self, graphs: Graphs, real: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of every node, [B, V, latent] each; `real` bool [B, V] for normalisation."""
        x = self.inputs(graphs)
        linked = graphs.derive("arch2vec/linked", _linked).to(x.dtype)
        nodes = None if self.whole else RealNodes(real, x.dtype)
        for layer in self.layers:
            x = layer(x, linked, nodes)
        return self.mean(x), self.log_sigma(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of operations [B, V, ops] and of edges [B, V, V] from node samples [B, V, latent]."""
        z = self.drop(z)
        return self.guess(z), z @ z.transpose(-1, -2)

    def loss(self, graphs: Graphs, kl: float, faithful: bool = False) -> Tensor:
        """Reconstruction of operations and edges plus `kl` times the divergence from the prior, a scalar."""
        real = real_nodes(graphs, faithful)
        mean, log_sigma = self.encode(graphs, real)
        z = mean + log_sigma.exp() * torch.randn_like(mean)
        op_logits, edge_logits = self.decode(z)
        upper = real.unsqueeze(-1) & real.unsqueeze(-2)
        upper = upper & torch.ones_like(upper).triu(1)
        edges = nn.functional.binary_cross_entropy_with_logits(edge_logits, graphs.adj.to(z.dtype), reduction="none")
        divergence = -0.5 * (1 + 2 * log_sigma - mean**2 - (2 * log_sigma).exp()).sum(-1)
        if faithful:
            ops = nn.functional.binary_cross_entropy_with_logits(op_logits, self.inputs(graphs))
            return ops + (edges * upper).mean() + divergence.mean() / divergence.numel()
        ops = nn.functional.cross_entropy(op_logits.transpose(-1, -2), graphs.ops, reduction="none")
        return over(ops, real) + over(edges, upper) + kl * over(divergence, real)


class Isomorphism(nn.Module):
    """One graph isomorphism layer: ReLU(BN(MLP((1 + eps) x + sum of neighbours)))."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.norm_inside, self.norm = MaskedBatchNorm(hidden), MaskedBatchNorm(hidden)

    def forward(self, x: Tensor, linked: Tensor, nodes: RealNodes | None) -> Tensor:
        """x [B, V, inputs], linked float [B, V, V], the nodes that count (None: all) -> [B, V, hidden], zero where not
        real."""
        itself = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
        x = (linked + (1 + self.eps) * itself) @ x
        if nodes is None:
            inside = self.norm_inside.activated_of_all(self.first(x.flatten(0, -2)))
            return self.norm.activated_of_all(self.second(inside)).view(*x.shape[:-1], self.second.out_features)
        x = self.first(x)
        x = self.second(torch.relu(self.norm_inside(x, nodes)))
        return torch.relu(self.norm(x, nodes)) * nodes.mask.unsqueeze(-1)


def _linked(graphs: Graphs) -> Tensor:
    """float [B, V, V]: 1 where an edge goes either way."""
    return (graphs.adj | graphs.adj.mT).float()


def over(values: Tensor, where: Tensor) -> Tensor:
    """Mean of `values` where bool `where` holds."""
    return (values * where).sum() / where.sum().clamp(min=1)
