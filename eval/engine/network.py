"""A predictor as one network: encoder and head, giving a score per architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archrank.datasets.graphs import Graphs
from archrank.encoders.ensembling.noise import Dropout, own_dropout
from archrank.encoders.layers.linear import own_linear
from archrank.eval.engine.heads.layers import Head


class Network(nn.Module):
    """Encoder [B, dim] -> head -> scores [B]. An encoder with `compare` has no head: it scores pairs."""

    def __init__(self, encoder: nn.Module, head: Head, probe: Graphs, pairs: bool = False) -> None:
        super().__init__()
        self.encoder = own_tensors(own_linear(own_dropout(encoder)))
        with torch.no_grad():
            was = encoder.training
            shape = encoder.eval()(probe).shape
            encoder.train(was)
        if len(shape) != 2 or shape[0] != len(probe):
            raise ValueError(f"forward must give [B, dim]; for {len(probe)} architectures it gave {list(shape)}")
        self.dim = int(shape[1])
        self.head = None if pairs else own_linear(make_head(self.dim, head))
        self.sigmoid = head.output == "sigmoid"

    def forward(self, graphs: Graphs | Tensor, task: str = "score", other: Tensor | None = None) -> Any:
        """task `embed`: [B, dim]; `score`: ([B] scores, scalar auxiliary loss); `pairs`: ([B, B] log-odds that row
        beats column, auxiliary loss);
        `compare`: [B, C] log-odds of embeddings `graphs` [B, dim] against `other` [C, dim]."""
        if task == "compare":
            assert other is not None and isinstance(graphs, Tensor)
            return self.compare(graphs, other)
        embedding = self.encoder(graphs)
        if task == "embed":
            return embedding
        auxiliary: Any = getattr(self.encoder, "auxiliary_loss", None)
        extra = auxiliary(graphs, embedding) if auxiliary and self.training else embedding.new_zeros(())
        if task == "pairs":
            return self.compare(embedding, embedding), extra
        return self.score(embedding), extra

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Log-odds [B, C] that embeddings first [B, dim] beat second [C, dim], through the encoder's own `compare`."""
        compare: Any = self.encoder.compare
        return compare(first.unsqueeze(-2), second.unsqueeze(-3))

    def score(self, embedding: Tensor) -> Tensor:
        """Scores [B] of embeddings [B, dim]."""
        assert self.head is not None
        score = self.head(embedding).squeeze(-1)
        return torch.sigmoid(score) if self.sigmoid else score


def own_tensors(model: nn.Module) -> nn.Module:
    """Make buffers of tensors that are plain attributes below `model`, in place, so that every member of an ensemble
    has its own."""
    for module in model.modules():
        for name, value in [*vars(module).items()]:
            if isinstance(value, Tensor):
                delattr(module, name)
                module.register_buffer(name, value.detach())
    return model


def stateless(
    module: nn.Module, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, Tensor]]:
    """What `module` returns with these parameters and buffers, and the buffers as it leaves them, changed in place or
    replaced.

    `torch.func.functional_call`, but that a module listed twice, or a tensor that two modules share, is one: given and
    returned under its first name.
    """
    given = {**parameters, **buffers}
    names = {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}
    places: list[tuple[dict[str, Any], str, Tensor, str]]
    places = [
        (held, last, tensor, names[id(tensor)])
        for part in module.modules()
        for held in (part._parameters, part._buffers)
        for last, tensor in held.items()
        if tensor is not None
    ]
    try:
        for held, last, _, name in places:
            held[last] = given[name]
        result = module(*args, **kwargs)
        return result, {
            name: after
            for held, last, _, name in reversed(places)
            if name in buffers and (after := held[last]) is not None
        }
    finally:
        for held, last, tensor, _ in places:
            held[last] = tensor


def make_head(dim: int, head: Head) -> nn.Sequential:
    """The head's layers: hidden ones, then one output."""
    layers: list[nn.Module] = []
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "none": nn.Identity}[head.activation]
    for width in head.hidden:
        layers += [nn.Linear(dim, width, bias=head.bias), activation(), Dropout(head.dropout)]
        dim = width
    return nn.Sequential(*layers, nn.Linear(dim, 1, bias=head.bias))


class FixedEncoding(nn.Module):
    """A fixed encoding as an encoder: looks up features and scales them by the mean and deviation over the training
    architectures."""

    def __init__(self, name: str, function: Callable[[Graphs], Tensor], training: NDArray[np.float64]) -> None:
        super().__init__()
        self.name, self.function = name, function
        spread = training.std(0)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.as_tensor(training.mean(0), dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(np.where(spread > 1e-9, spread, 1.0), dtype=torch.float32))

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, F]."""
        features = graphs.derive(self.name, self.function)
        return (features.to(self.mean.dtype) - self.mean) / self.scale


class WithSide(nn.Module):
    """An encoder with numbers of each architecture beside its embedding.

    encoder: gives [B, dim]. side: gives [B, K], as `FixedEncoding` does.
    """

    def __init__(self, encoder: nn.Module, side: nn.Module) -> None:
        super().__init__()
        self.encoder, self.side = encoder, side

    def forward(self, graphs: Graphs) -> Tensor:
        """[B, dim + K]."""
        return torch.cat([self.encoder(graphs), self.side(graphs)], -1)

    def auxiliary_loss(self, graphs: Graphs, embeddings: Tensor) -> Tensor:
        """The encoder's own; 0 without one."""
        own: Any = getattr(self.encoder, "auxiliary_loss", None)
        loss: Tensor = own(graphs, embeddings[..., : -len(self.side.mean)]) if own else embeddings.new_zeros(())  # type: ignore[arg-type]
        return loss


def parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
