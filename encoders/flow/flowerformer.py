"""FlowerFormer: message passing along the flow of data, beside attention limited to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.attention import masked_softmax
from archrank.encoders.layers.norm import MaskedBatchNorm, RealNodes, normalised_side_by_side
from archrank.encoders.layers.pool import mean_pool
from archrank.encoders.layers.sweep import Sweep, nodes_first
from archrank.encoders.registry import encoder

# dim, layers, attention dropout, lr, weight decay, epochs, warm-up epochs, batch, margin, pairs per architecture (None:
# all)
PUBLISHED: dict[str, tuple[int, int, float, float, float, int, int, int, float, float | None]] = {
    "nasbench101": (64, 9, 0.5, 8e-4, 3e-5, 300, 30, 16, 0.5, None),
    "nasbench201": (64, 9, 0.5, 8e-4, 6e-5, 600, 30, 32, 0.5, None),
    "nasbench301": (256, 8, 0.3, 3e-3, 2e-5, 500, 50, 64, 0.1, 8.0),
    "nasbench_asr": (128, 6, 0.1, 9e-4, 9e-4, 1000, 20, 32, 0.1, None),
    "nasbench_graph": (256, 4, 0.4, 7e-3, 4.5e-10, 200, 50, 1024, 0.01, 2.0),
}
# Spaces without a published recipe take the one of the space they are most like.
KIN = {
    "transnasbench101_micro": "nasbench201",
    "transnasbench101_macro": "nasbench201",
    "nasbench_nlp": "nasbench101",
    "darts": "nasbench301",
}


def published(space: SearchSpace) -> tuple[int, int, float, float, float, int, int, int, float, float | None]:
    """The published settings for a space, or for its nearest kin (NAS-Bench-101's where it has none)."""
    return PUBLISHED[KIN.get(space.name, space.name) if KIN.get(space.name, space.name) in PUBLISHED else "nasbench101"]


@encoder("flowerformer", family="flow transformer")
class FlowerFormer(nn.Module):
    """Flow-aware graph transformer: a forward and a backward gated sweep along the edges, beside attention between
    nodes on one path.

    Source: Hwang et al., "FlowerFormer: Empowering Neural Architecture Encoding using a Flow-aware Graph Transformer",
    CVPR 2024, and its code (y0ngjaenius/CVPR2024_FLOWERFormer, 5a89429). Sees operations and edges, no positions:
    invariant to the order of nodes.

    Shapes: graphs [B, V] -> [B, dim] (mean over nodes), [B, 2 * dim] in two-cell spaces, whose cells share weights and
    exchange their output nodes between the two sweeps. Parameters at dim 64, 9 layers on NAS-Bench-201: 751,745 with
    the linear head.

    mask_mode: how a sweep visits edges. `paper` updates each node once from all its neighbours, in both directions, as
    the paper describes. `target` groups edges by the generation of their target in both directions, so that the
    backward sweep hears only the nearest generation of successors: on NAS-Bench-201 this is the form whose official
    code reaches the published level. `ancestor` is what the collate function in the released code's ancestor does;
    later updates overwrite earlier ones.
    faithful: also carry the parameters of the official code that no output depends on (901,587 in all). They change no
    score: in an additive attention the query, the edge feature and every bias cancel in the softmax.

    Departures: none in the default besides leaving those parameters out.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 64,
        layers: int = 9,
        heads: int = 8,
        attention_dropout: float = 0.5,
        mask_mode: Literal["paper", "target", "ancestor"] = "paper",
        faithful: bool = False,
    ) -> None:
        super().__init__()
        self.invariant = True
        if dim % heads:
            raise ValueError(f"flowerformer: dim {dim} is not a multiple of heads {heads}")
        self.ops, self.cells, self.mask_mode = len(space.ops), space.cells, mask_mode
        # Nodes are laid out generation by generation, so that a sweep's groups are contiguous.
        self.order = [v for group in space.generations for v in group]
        self.groups = [len(group) for group in space.generations]
        self.embed = nn.Linear(self.ops, dim, bias=False)
        self.norm = MaskedBatchNorm(dim)
        self.layers = nn.ModuleList(Layer(dim, heads, attention_dropout, space.cells, faithful) for _ in range(layers))
        self.edge = nn.Parameter(torch.randn(1, dim)) if faithful else None

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size for a space."""
        dim, layers, dropout, *_ = published(space)
        return {"dim": dim, "layers": layers, "attention_dropout": dropout}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """The published training: pairwise hinge loss, AdamW, warm-up and cosine per epoch, last-epoch weights."""
        _, _, _, lr, decay, epochs, warmup, batch, margin, pairs = published(space)
        return {
            "loss": "hinge",
            "margin": margin,
            "pairs_per_item": pairs,
            "optimizer": "adamw",
            "lr": lr,
            "weight_decay": decay,
            "epochs": epochs,
            "warmup": warmup,
            "schedule": "cosine",
            "schedule_per": "epoch",
            "batch": batch,
            "clip": 1.0,
            "head": "linear",
            "labels": "standard",
        }

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim], or [B, 2 * dim] where architectures have two cells."""
        ops, mask, cell = self._rows(graphs)
        return mean_pool(self._passed(graphs).transpose(-3, -2), Graphs(ops, graphs.adj, mask, cell), self.cells)

    def states(self, graphs: Graphs) -> Tensor:
        """State of every node [B, V, dim], for pretexts that ask about nodes."""
        found = self._passed(graphs)
        return torch.stack([found[..., self.order.index(node), :, :] for node in range(len(self.order))], -2)

    def _passed(self, graphs: Graphs) -> Tensor:
        """States [V, B, dim], nodes in the order of the sweep."""
        mode = self.mask_mode
        dtype = self.embed.weight.dtype
        allowed = graphs.derive("flowerformer/attend", self._attend)
        down = nodes_first(graphs.derive(f"flowerformer/{mode}/down", self._down), dtype)
        up = graphs.derive(f"flowerformer/{mode}/up", self._up)
        ops, mask, cell = (row.transpose(-2, -1) for row in self._rows(graphs))
        real = [mask] if self.cells == 1 else [mask & (cell == number) for number in range(self.cells)]
        nodes = [RealNodes(part, dtype) for part in real]
        sinks = graphs.derive("flowerformer/sinks", self._sinks) if self.cells > 1 else None
        onehot = nn.functional.one_hot(ops, self.ops).to(dtype)
        x = torch.relu(per_cell(self.norm, self.embed(onehot), nodes))
        x = nn.functional.normalize(x, dim=-1)
        flow = Flow(
            down, up if mode == "ancestor" else nodes_first(up, dtype, True), self.groups, mode == "ancestor", sinks
        )
        barred = ~allowed if launch_bound(x) else None
        for layer in self.layers:
            x = layer(x, flow, allowed, barred, nodes)
        return x

    # ---- structure that depends on the graph alone, laid out in the order of the sweep ----

    def _rows(self, graphs: Graphs) -> list[Tensor]:
        """Operations int64, real nodes bool and cells int64, [B, V] each."""

        def row(name: str) -> Callable[[Graphs], Tensor]:
            return lambda own: getattr(own, name)[..., torch.tensor(self.order, device=own.device)]

        return [graphs.derive(f"flowerformer/{name}", row(name)) for name in ("ops", "mask", "cell")]

    def _laid_out(self, matrix: Tensor) -> Tensor:
        order = torch.tensor(self.order, device=matrix.device)
        return matrix[..., order, :][..., :, order]

    def _attend(self, graphs: Graphs) -> Tensor:
        """bool [B, V, V]: pairs on one directed path, in both directions, nobody with itself."""
        return self._laid_out(graphs.reach | graphs.reach.transpose(-1, -2))

    def _down(self, graphs: Graphs) -> Tensor:
        """bool [B, V(receiver), V(sender)] of the forward sweep."""
        adj, depth = graphs.adj, graphs.depth
        if self.mask_mode == "ancestor":
            adj = adj & (depth[..., :, None] + 1 == depth[..., None, :])
        return self._laid_out(adj.transpose(-1, -2))

    def _up(self, graphs: Graphs) -> Tensor:
        """bool [B, V(receiver), V(sender)] of the backward sweep; for `ancestor` [B, V - 1, V, V], one matrix per
        mask."""
        adj, depth = graphs.adj, graphs.depth
        if self.mask_mode == "target":
            later = depth[..., None, :].expand_as(adj).masked_fill(~adj, graphs.nodes + 1)
            adj = adj & (later == later.amin(-1, keepdim=True))
        if self.mask_mode == "ancestor":
            steps = []
            for generation in range(graphs.nodes - 1):
                here = depth == generation
                among = here | (adj & here[..., :, None]).any(-2)
                steps.append(adj & among[..., :, None] & among[..., None, :])
            return self._laid_out(torch.stack(steps, -3))
        return self._laid_out(adj)

    def _sinks(self, graphs: Graphs) -> Tensor:
        """bool [B, cells, V]: each cell's node without successors."""
        order = torch.tensor(self.order, device=graphs.device)
        last = (graphs.mask & ~graphs.adj.any(-1))[..., order]
        return torch.stack([last & (graphs.cell[..., order] == number) for number in range(self.cells)], -2)


class Flow:
    """One batch's edges as the sweeps visit them (see `Sweep`; `up` bool [B, K, V, V] where `by_mask`), and its sinks
    bool [B, cells, V]."""

    def __init__(self, down: Tensor, up: Tensor, groups: list[int], by_mask: bool, sinks: Tensor | None) -> None:
        self.down, self.up, self.groups, self.by_mask, self.sinks = down, up, groups, by_mask, sinks


class FlowSweep(Sweep):
    """A sweep that can also run as the released code's `ancestor` form does."""

    def __init__(self, dim: int, faithful: bool) -> None:
        super().__init__(dim, dim)
        self.inert = nn.ModuleDict({"edge": nn.Linear(dim, dim), "query": nn.Linear(dim, 1)}) if faithful else None

    def by_mask(self, x: Tensor, masks: Tensor) -> Tensor:
        """The released code's loop on x [V, B, dim], last mask first: masks bool [B, K, V(receiver), V(sender)]; a
        later update overwrites."""
        half = self.gru.input_half(x.transpose(-3, -2))
        receives = masks.any(-1)
        states = self.gru.first(half) * (~receives.any(-2)).to(x.dtype).unsqueeze(-1)
        for k in reversed(range(masks.shape[-3])):
            weights = masked_softmax((states @ self.key).unsqueeze(-2), masks[..., k, :, :])
            fresh = self.gru.step(half, weights @ states)
            states = torch.where(receives[..., k, :].unsqueeze(-1), fresh, states)
        return states.transpose(-3, -2)


class Layer(nn.Module):
    """One FlowerFormer layer: both sweeps and flow-aware attention on the same input, added, then a feed-forward
    block."""

    def __init__(self, dim: int, heads: int, attention_dropout: float, cells: int, faithful: bool) -> None:
        super().__init__()
        self.heads, self.cells = heads, cells
        self.down, self.up = FlowSweep(dim, faithful), FlowSweep(dim, faithful)
        self.exchange = nn.Linear(2 * dim, 2 * dim) if cells > 1 else None
        self.key_query = nn.Linear(dim, 2 * dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        nn.init.xavier_uniform_(self.key_query.weight)
        nn.init.xavier_uniform_(self.value.weight)
        self.drop = Dropout(attention_dropout)
        self.out = nn.Linear(dim, dim)
        self.norm_flow, self.norm_attention, self.norm_out = (MaskedBatchNorm(dim) for _ in range(3))
        self.wide, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.inert = nn.Linear(dim, 2 * dim, bias=False) if faithful else None

    def forward(self, x: Tensor, flow: Flow, allowed: Tensor, barred: Tensor | None, real: list[RealNodes]) -> Tensor:
        """x [V, B, dim], nodes first -> [V, B, dim]."""
        both = self._both(x, flow, allowed, barred, real)
        return per_cell(self.norm_out, both + self.narrow(torch.relu(self.wide(both))), real)

    def _both(self, x: Tensor, flow: Flow, allowed: Tensor, barred: Tensor | None, real: list[RealNodes]) -> Tensor:
        """What sweep and attention find [V, B, dim], each added to x and normalised by itself, added up. The order in
        which operations are made is the order in which gradients are added, and part of the digits."""
        if not (self.training and launch_bound(x)):
            return per_cell(self.norm_flow, x + self.sweep(x, flow), real) + per_cell(
                self.norm_attention, x + self.attention(x, allowed, barred), real
            )
        norms = self.norm_flow, self.norm_attention
        found = self.sweep(x, flow), self.attention(x, allowed, barred)
        pair = torch.stack(found, -2) + x.unsqueeze(-2)
        done = per_cell(lambda y, nodes: normalised_side_by_side(norms, y, nodes), pair.flatten(-2), real)
        return done.view(pair.shape).sum(-2)

    def sweep(self, x: Tensor, flow: Flow) -> Tensor:
        """Forward sweep, then the backward sweep on its result."""
        states = self.down(x, flow.down, flow.groups)
        if self.exchange is not None and flow.sinks is not None:
            states = self._exchanged(states, flow.sinks)
        if flow.by_mask:
            states = self.up.by_mask(states, flow.up)
        else:
            states = self.up(states, flow.up, flow.groups, backward=True)
        return states if self.cells > 1 else torch.relu(states)

    def _exchanged(self, states: Tensor, sinks: Tensor) -> Tensor:
        """Both cells' output nodes [B, 2 * dim] through one linear map, and back into their places."""
        assert self.exchange is not None
        at, states = sinks.to(states.dtype), states.transpose(-3, -2)
        told = self.exchange((at @ states).flatten(-2)).unflatten(-1, (self.cells, -1))
        return (states * (1 - at.sum(-2)).unsqueeze(-1) + at.transpose(-1, -2) @ told).transpose(-3, -2)

    def attention(self, x: Tensor, allowed: Tensor, barred: Tensor | None = None) -> Tensor:
        """Multi-head attention over `allowed` (bool [B, V, V], `barred` its opposite if it is known); a node that may
        look at nobody gets the output bias."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).movedim(-4, -2)  # [B, heads, V, d]

        if launch_bound(x):
            weight = torch.cat([self.key_query.weight, self.value.weight])
            parts = nn.functional.linear(x, weight).unflatten(-1, (3, self.heads, -1))
            sender, receiver, value = parts.permute(2, 1, 3, 0, 4).contiguous().unbind()
        else:
            sender, receiver = (split(part) for part in self.key_query(x).chunk(2, -1))
            value = split(self.value(x))
        scores = receiver @ sender.transpose(-1, -2) / math.sqrt(sender.shape[-1])
        weights = masked_softmax(scores, allowed.unsqueeze(-3), None if barred is None else barred.unsqueeze(-3))
        return self.out((self.drop(weights) @ value).movedim(-2, -4).flatten(-2))


def per_cell(norm: Callable[[Tensor, RealNodes], Tensor], x: Tensor, real: list[RealNodes]) -> Tensor:
    """Normalise each cell's nodes by that cell's own statistics, one cell after the other, as the official code calls
    its norms."""
    out = norm(x, real[0])
    for nodes in real[1:]:
        out = torch.where(nodes.mask.unsqueeze(-1), norm(x, nodes), out)
    return out
