"""Steps of an encoding's own pre-training, for which a case asks with `pretraining`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from archrank.datasets.errors import ArchrankError
from archrank.encoders.autoencoders import arch2vec
from archrank.encoders.cross_attention import cate
from archrank.encoders.layers.complexity import cost
from archrank.encoders.layers.masked_operators import PairModel
from archrank.encoders.layers.pretraining import decayed
from archrank.eval.bench.prepared_case import PreparedCase


def options(prepared: PreparedCase) -> dict[str, Any]:
    """All options of the case's encoder by name."""
    spec = prepared.job.spec
    return {name: option.default for name, option in spec.info.options.items()} | dict(spec.config)


class Pretraining:
    """archrank's pre-training of one network; see `runners` for what `train` promises."""

    members = 1

    def __init__(self, prepared: PreparedCase) -> None:
        name = prepared.job.spec.info.name
        if name not in STEPS:
            raise ArchrankError(
                f"the pre-training of '{name}' cannot be measured by itself; there is {', '.join(STEPS)}"
            )
        self.advance = STEPS[name](prepared)

    def train(self, steps: int, began: Callable[[], None]) -> int:
        """See `runners.Runner`."""
        self.advance(1)
        began()
        self.advance(steps - 1)
        return steps - 1

    def predict(self) -> int:
        """It is measured in training alone."""
        raise ArchrankError("a pre-training predicts nothing")

    def apart(self) -> float:
        """0: it is that network."""
        return 0.0


def _arch2vec(prepared: PreparedCase) -> Callable[[int], Any]:
    chosen, graphs = options(prepared), prepared.job.graphs
    shape = {name: chosen[name] for name in ("latent", "hidden", "layers", "dropout")}
    model = arch2vec.GraphAutoencoder(len(prepared.job.space.ops), **shape)
    model.whole = bool(arch2vec.real_nodes(graphs, chosen["faithful"]).all())
    how = {name: chosen[name] for name in ("batch", "lr", "kl", "faithful")}
    return lambda count: arch2vec.pretrain(model, graphs, updates=count, **how)


def _cate(prepared: PreparedCase) -> Callable[[int], Any]:
    chosen, graphs, space = options(prepared), prepared.job.graphs, prepared.job.space
    shape = {name: chosen[name] for name in ("layers", "cross_layers", "heads", "hidden", "cross_hidden", "dropout")}
    faithful = chosen["faithful"]
    model = PairModel(
        len(space.ops), chosen["dim"], extra_tokens=0 if faithful else 2, unit_embeddings=not faithful, **shape
    )
    first, second = cate.pair_up(cost(graphs, space, chosen["metric"]), chosen["window"], chosen["pairs"])
    weights = decayed(model, chosen["weight_decay"], norms=faithful)
    optimizer = torch.optim.AdamW(weights, lr=chosen["lr"])
    how = {name: chosen[name] for name in ("batch", "faithful")}
    return lambda count: cate.pretrain(model, graphs, first, second, optimizer, updates=count, **how)


STEPS: dict[str, Callable[[PreparedCase], Callable[[int], Any]]] = {"arch2vec": _arch2vec, "cate": _cate}
