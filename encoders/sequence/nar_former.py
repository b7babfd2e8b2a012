"""NAR-Former: an architecture as a sequence of node tokens, fused in stages to one vector."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.attention import Attention, Block, FeedForward, absent
from archrank.encoders.registry import encoder

QUERIES = (4, 2, 1)  # tokens after each fusion stage
END, NOWHERE = 1e5, -1.0  # the end token in every slot; where the data of the input comes from


@encoder("nar_former", family="token sequence")
class NarFormer(nn.Module):
    """Tokens of operation, position and sources through a transformer that fuses them in stages: all, 4, 2, 1.

    Source: Yi et al., "NAR-Former: Neural Architecture Representation Learning towards Holistic Attributes Prediction",
    CVPR 2023, and its code (yuny220/NAR-Former, 61f836a). A node's token is [code of its operation | code of its index
    | sum of the codes of its predecessors' indices], so it sees operations, edges and the order of nodes: relabelling
    an architecture changes its embedding. The published training answers with a consistency loss between an
    architecture and a relabelled `twin`.

    The code of a number is sines and cosines at frequencies evenly spaced up to 2^(m-1): at the published m = 32 the
    arguments are so large that what comes out is float32 rounding, a fixed hash of the number rather than a smooth
    position code. It is therefore computed in float32, on the CPU, in the published order of operations, whatever the
    precision of the network. At a small `dim` it repeats: every 30 numbers at 96, 14 at 48, 6 at 24, 2 at 12. A `dim`
    at which two operations would have one code is refused; nodes have one code of their index where a space has more
    than that many (at 96, more than 30 nodes).

    Shapes: graphs [B, V] -> [B, dim]; the sequence is [size token, n nodes, end token], padding masked out of every
    attention. `dim` is 6 times the number of frequencies. Two-cell spaces: both cells in one sequence, told apart by
    the indices. Parameters at the published size (dim 192, 6 heads, hidden 768, 6 layers) with the linear head:
    4,822,081. The default (dim 96, hidden 384, 3 layers) is smaller, 877,344, for training on two cores.

    faithful: the projections of an attention start as copies of one, as in that code, so that queries, keys and values
    are equal at first; part of `paper`. By default they start from independent random values, which ranked better in
    the one training that was compared (docs/parity.md).

    Departures: architectures of different size share a batch (the official code puts equal lengths together; masking
    gives the same numbers); a node other than the first without predecessors, which the official tokenizer cannot
    represent, has the source code of an input; operations are numbered as the space lists them (there by a list of its
    own), so that their codes change places; weight decay acts on biases too (there on all weights but those); AdamW is
    PyTorch's, which adds `eps` after the correction of the second moment (there, an older one of `transformers`,
    before it: a larger `eps` in the first thousand updates); with twins, the difference loss pairs architectures with
    architectures and twins with twins (there any two of both). The last weights' moving average predicts, and 200
    labels for validation choose no weights. As there, an architecture has at most one twin; here every architecture
    may have it, not only the first 8,000. Otherwise the two are equal update by update: docs/parity.md.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        dim: int = 96,
        heads: int = 6,
        hidden: int = 384,
        layers: int = 3,
        dropout: float = 0.1,
        faithful: bool = False,
    ) -> None:
        super().__init__()
        if dim % 6 or dim % heads:
            raise ValueError(f"nar_former: dim {dim} must be a multiple of 6 and of heads {heads}")
        if period(dim // 6) < len(space.ops):
            raise ArchrankError(
                f"nar_former: at dim {dim} the code of a number repeats every {period(dim // 6)}, and space '{space.name}' has "
                f"{len(space.ops)} operations; choose another dim, such as 192"
            )
        # Codes are buffers; tokens derived once per space would take gigabytes where there are 423,624 cells.
        self.place_codes: Tensor
        self.op_codes: Tensor
        self.mark_codes: Tensor
        self.size_codes: Tensor
        for name, numbers, frequencies in (
            ("place", torch.arange(space.max_nodes), dim // 6),
            ("op", torch.arange(len(space.ops)), dim // 6),
            ("mark", torch.tensor([END, NOWHERE]), dim // 6),
            ("size", torch.arange(space.max_nodes + 1), dim // 2),
        ):
            self.register_buffer(f"{name}_codes", scalar_code(numbers, frequencies), persistent=False)
        self.size = nn.Linear(dim, dim)
        self.layers = nn.ModuleList(Block(dim, heads, hidden, dropout=dropout) for _ in range(layers))
        self.queries = nn.ParameterList(nn.Parameter(torch.randn(count, dim)) for count in QUERIES)
        self.stages = nn.ModuleList(Stage(dim, heads, hidden, dropout) for _ in QUERIES)
        self.fusions = nn.ModuleList(Fusion(dim, heads, hidden, dropout) for _ in QUERIES[1:])
        self.norm = nn.LayerNorm(dim)
        if faithful:
            for part in self.modules():
                if isinstance(part, Attention):
                    start_alike(part)

    @staticmethod
    def paper_config(space: SearchSpace) -> dict[str, Any]:
        """The published size: 4.8 million parameters."""
        return {"dim": 192, "heads": 6, "hidden": 768, "layers": 6, "faithful": True}

    @staticmethod
    def paper_recipe(space: SearchSpace) -> dict[str, Any]:
        """The published training: squared error of a sigmoid, difference and consistency losses, averaged weights."""
        epochs = 6000 if space.name == "nasbench101" else 4000
        return {
            "loss": "mse",
            "labels": "unit",
            "difference": 0.1,
            "consistency": 0.5,
            "ema": 0.99,
            "optimizer": "adamw",
            "lr": 1e-4,
            "weight_decay": 0.01,
            "epochs": epochs,
            "batch": 128,
            "warmup": 0.1 * epochs,
            "schedule": "linear",
            "schedule_per": "step",
            "head": {"output": "sigmoid"},
        }

    @staticmethod
    def twins(graphs: Graphs) -> Graphs:
        """Each architecture with the last two inner nodes of every cell exchanged.

        Where they are linked (they must keep their order), equal in all, or fewer than two, it is its own twin.
        """
        place = torch.arange(graphs.nodes, device=graphs.device).expand_as(graphs.ops)
        order = place
        for cell in (0, 1):
            here = graphs.mask & (graphs.cell == cell)
            first = torch.where(here, place, graphs.nodes).amin(-1, keepdim=True)
            left, right = (((place * here).amax(-1, keepdim=True) - back).clamp(min=0) for back in (2, 1))
            linked = graphs.adj.gather(-2, left.unsqueeze(-1).expand(*left.shape, graphs.nodes)).squeeze(-2)
            free = (left > first) & ~linked.gather(-1, right)
            swapped = torch.where(place == left, right, torch.where(place == right, left, place))
            order = torch.where(free & here, swapped, order)
        return graphs.relabel(order)

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim]."""
        size = torch.relu(self.size(nn.functional.embedding(graphs.mask.sum(-1), self.size_codes)))
        sequence = torch.cat([size.unsqueeze(-2), self.tokens(graphs)], -2)
        return self.fuse(sequence, graphs.derive("nar-former/present", _present))

    def fuse(self, sequence: Tensor, present: Tensor | None = None) -> Tensor:
        """The network without the tokenizer: sequence [B, L, dim], present bool [B, L] (None: all) -> [B, dim]."""
        offset = None if present is None else absent(present, sequence.dtype).unsqueeze(-2)
        memory = sequence
        for layer in self.layers:
            memory = layer(memory, offset=offset)
        x = self.stages[0](self.queries[0], memory, offset)
        for query, stage, fusion in zip(list(self.queries)[1:], list(self.stages)[1:], self.fusions, strict=True):
            x = stage(query, fusion(x, memory, offset))
        done: Tensor = self.norm(x)[..., -1, :]
        return done

    def tokens(self, graphs: Graphs) -> Tensor:
        """[B, V + 1, dim]: one token per node, then the end token; zeros after it."""
        end, nowhere = self.mark_codes
        extra = max(graphs.nodes - len(self.place_codes), 0)  # a wider tensor than the space needs: padding only
        places = nn.functional.pad(self.place_codes, (0, 0, 0, extra))[: graphs.nodes]
        sources = graphs.adj.transpose(-1, -2).to(places.dtype) @ places
        sources = torch.where(graphs.adj.any(-2).unsqueeze(-1), sources, nowhere)
        ops = nn.functional.embedding(graphs.ops, self.op_codes)
        tokens = nn.functional.pad(torch.cat([ops, places.expand_as(ops), sources], -1), (0, 0, 0, 1))
        size = graphs.mask.sum(-1, keepdim=True)
        here = torch.arange(graphs.nodes + 1, device=graphs.device)
        tokens = torch.where((here == size).unsqueeze(-1), end.repeat(3), tokens)
        return tokens * (here <= size).unsqueeze(-1)


class Stage(nn.Module):
    """Learned queries, unprojected, gather from a sequence; no residual around the attention."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout=dropout, project_query=False)
        self.feed = FeedForward(dim, hidden, dropout=dropout)

    def forward(self, query: Tensor, context: Tensor, offset: Tensor | None = None) -> Tensor:
        """query [Q, dim], context [B, L, dim] -> [B, Q, dim]."""
        done: Tensor = self.feed(self.attention(query, self.norm(context), offset=offset))
        return done


class Fusion(nn.Module):
    """A stage's tokens gather once more from the memory before the next stage; no residual around the attention."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_query, self.norm_memory = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout=dropout)
        self.feed = FeedForward(dim, hidden, dropout=dropout)

    def forward(self, x: Tensor, memory: Tensor, offset: Tensor | None = None) -> Tensor:
        """x [B, Q, dim], memory [B, L, dim] -> [B, Q, dim]."""
        done: Tensor = self.feed(self.attention(self.norm_query(x), self.norm_memory(memory), offset=offset))
        return done


def start_alike(attention: Attention) -> None:
    """Give all projections of an attention the first one's initial weights."""
    parts = (attention.query, attention.key, attention.value, attention.out)
    first, *others = [part for part in parts if part is not None]
    for other in others:
        other.load_state_dict(first.state_dict())


def scalar_code(numbers: Tensor, frequencies: int) -> Tensor:
    """sin and cos of pi * x * f at m = `frequencies` values f evenly spaced from 1 to 2^(m-1): float32 [..., 2m].

    Sine and cosine of a frequency stand side by side. The order of the products and the precision are part of the code:
    see `NarFormer`.
    """
    bands = torch.linspace(1.0, 2.0 ** (frequencies - 1), frequencies)
    angle = (numbers.float() * math.pi).unsqueeze(-1) * bands
    return torch.stack([torch.sin(angle), torch.cos(angle)], -1).flatten(-2)


def period(frequencies: int) -> float:
    """After how many numbers `scalar_code` repeats: when all frequencies, 1 + k (2^(m-1) - 1) / (m - 1), have made
    whole turns."""
    gaps = max(frequencies - 1, 1)
    numbers = 2 * gaps // math.gcd(gaps, 2 ** (frequencies - 1) - 1)
    return (
        numbers if numbers << frequencies < 2**24 else math.inf
    )  # beyond, single precision does not know the half turns


def _present(graphs: Graphs) -> Tensor:
    """bool [B, V + 2]: the size token, the nodes, the end token."""
    places = torch.arange(graphs.nodes + 2, device=graphs.device)
    return places <= graphs.mask.sum(-1, keepdim=True) + 1
