"""EmProx: a recurrent autoencoder of an architecture's written form, whose embeddings are compared by distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, pad

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.autoencoders.limits import supports_sequence
from archrank.encoders.ensembling.noise import Dropout
from archrank.encoders.layers.pretraining import fit, in_chunks, seeded
from archrank.encoders.registry import encoding

START, NO_EDGE, EDGE, FIRST_OP = 0, 1, 2, 3


@encoding("emprox", family="autoencoder", pretrained=True, supports=supports_sequence, head="knn")
def emprox(
    graphs: Graphs,
    space: SearchSpace,
    *,
    hidden: int = 64,
    dropout: float = 0.1,
    updates: int = 500,
    batch: int = 100,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
) -> Tensor:
    """Embedding of a recurrent autoencoder that writes architectures node by node; its head looks up the nearest.

    Source: Franken et al., "EmProx: Neural Network Performance Estimation For Neural Architecture Search", 2022, and
    its code (GideonFr/EmProx, NASLib's SemiNAS without its accuracy loss). Written form: for every node but the first,
    a token for each earlier node (edge or none), then its operation. A bidirectional LSTM reads it; its states, put
    through a linear map and added to the tokens, have length 1, and so has their mean, the embedding. A second LSTM,
    which starts from the embedding and attends to those states, writes the tokens again. Scores are the mean label of
    the nearest labelled embeddings, weighed by the inverse of their distance: head `knn`, which is this encoding's
    own (published with 10 and 60 neighbours). Depends on the order of nodes.

    Returns float32 [B, hidden]. Parameters at the published size (hidden 64): 121,928 on NAS-Bench-101 (27 tokens of 8
    kinds), 122,314 on NAS-Bench-201 (35 of 10), more than half of them of what writes; the code counts 193 fewer, for
    it has no token for the input, which is never written. Defaults are the published ones: Adam, L2 of 1e-4,
    clipping at 5, batches of 100. Only graphs are read; equal seeds give equal embeddings.

    Departures: it is trained on all architectures, for `updates` steps (there: 50 passes over the labelled ones), and
    each labelled one is remembered once, by the trained network (there: once for every pass, as it then was, dropout
    included). ArchrankError if architectures have more than 40 nodes.
    """
    if (problem := supports_sequence(space)) is not None:
        raise ArchrankError(f"emprox: {problem}")
    with seeded(seed, graphs.device):
        model = Autoencoder(FIRST_OP + len(space.ops), hidden, dropout).to(graphs.device)
        if updates and len(graphs):
            pretrain(model, graphs, updates=updates, batch=batch, lr=lr, weight_decay=weight_decay)
    model.eval()
    return in_chunks(lambda chunk: model.read(written(chunk))[1], graphs, 1024).float()


def pretrain(
    model: Autoencoder, graphs: Graphs, *, updates: int, batch: int, lr: float, weight_decay: float
) -> list[float]:
    """Train `model` in place to write `graphs` again; the loss of every update."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    return fit(
        lambda index: model.loss(written(graphs[index])),
        len(graphs),
        optimizer,
        updates=updates,
        batch=batch,
        device=graphs.device,
        decay=False,
        clip=5.0,
        name="emprox",
    )


def written(graphs: Graphs) -> Tensor:
    """Tokens int64 [B, V (V + 1) / 2 - 1]: for node 1, 2, ... its edges from earlier nodes and its operation; 0 for
    nodes that are not there."""
    columns = []
    for node in range(1, graphs.nodes):
        edges = torch.where(graphs.adj[:, :node, node], EDGE, NO_EDGE)
        column = torch.cat([edges, graphs.ops[:, node : node + 1] + FIRST_OP], 1)
        columns.append(column * graphs.mask[:, node : node + 1])
    return torch.cat(columns, 1)


class Autoencoder(nn.Module):
    """Reads tokens to an embedding and writes them again."""

    def __init__(self, tokens: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, hidden)
        self.reader = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden, hidden)
        self.embed_again = nn.Embedding(tokens, hidden)
        self.writer = nn.LSTM(hidden, hidden, batch_first=True)
        self.ask, self.mix = nn.Linear(hidden, hidden, bias=False), nn.Linear(2 * hidden, hidden, bias=False)
        self.guess = nn.Linear(hidden, tokens)
        self.drop = Dropout(dropout)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens int64 [B, L] -> states [B, L, hidden] and embedding [B, hidden], of length 1 both."""
        x = self.drop(self.embed(tokens))
        states = normalize(x + self.project(self.reader(x)[0]), dim=-1)
        return states, normalize(states.mean(1), dim=-1)

    def write(self, tokens: Tensor, states: Tensor, embedding: Tensor) -> Tensor:
        """Logits [B, L, tokens] of every token from those before it."""
        x = self.drop(self.embed_again(pad(tokens[:, :-1], (1, 0), value=START)))
        start = embedding.unsqueeze(0)
        x = (x + self.writer(x, (start, start))[0]) * math.sqrt(0.5)
        heard = torch.softmax(self.ask(x) @ states.mT, -1) @ states
        x = (x + torch.tanh(self.mix(torch.cat([heard, x], -1)))) * math.sqrt(0.5)
        logits: Tensor = self.guess(x)
        return logits

    def loss(self, tokens: Tensor) -> Tensor:
        """Cross-entropy of the tokens written again, a scalar."""
        return cross_entropy(self.write(tokens, *self.read(tokens)).flatten(0, 1), tokens.flatten())
