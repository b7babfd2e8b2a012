"""Files of fitted portfolios: weights and labelled architectures as safetensors, and one typed header. Reading one runs
nothing that the file names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.graphs import Graphs
from archrank.datasets.io.bounded import shown
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.encoders.registry import Portfolio
from archrank.encoders.views import build
from archrank.eval.auto.combine import Scale
from archrank.eval.auto.parts import FittedPart, Models, Networks, fit_regressors, training_rows
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import FittedPortfolio
from archrank.eval.auto.uncertainty import Calibration
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.network import Network
from archrank.eval.engine.training import Trained
from archrank.eval.saved import SpaceHeader, Strict, graph_tensors, probe_of, read_header, space_tensors


class PartHeader(Strict):
    """A part with its weight. used: models whose mean it is, of the `models` that were fitted. layers: of a network's
    head; sequential: why its members are called one after the other, or null."""

    label: str = Field(max_length=1000)
    weight: float = Field(ge=0, le=1)
    models: int = Field(ge=1, le=1000)
    used: list[int]
    mean: list[float]
    deviation: list[float]
    seconds: float
    layers: Head | None = None
    sequential: str | None = None


class PortfolioHeader(Strict):
    """What a file says of the predictor in it. intercept, slope, noise, trust: see `Calibration`. The other fields are
    those of `AutoPredictor` and `FittedPortfolio`."""

    kind: Literal["auto"] = "auto"
    version: Literal[1] = 1
    portfolio: str = Field(max_length=200)
    options: dict[str, Any]
    recipe: str = Field(max_length=1000)
    direction: Literal["max", "min"]
    seed: int = Field(ge=0, lt=2**63)
    space: SpaceHeader
    parts: list[PartHeader] = Field(min_length=1)
    refused: dict[str, str]
    intercept: float
    slope: float
    noise: float
    trust: float
    tau: float
    seconds: float


def described(fitted: FittedPortfolio) -> dict[str, Any]:
    """The fields of a header that a fitted portfolio has."""
    parts = []
    for part, weight in zip(fitted.parts, fitted.weights):
        network = part.models.trained.ensemble if isinstance(part.models, Networks) else None
        parts.append(
            PartHeader(
                label=part.part.label,
                weight=float(weight),
                models=len(part.scale.mean),
                used=part.used,
                mean=part.scale.mean.tolist(),
                deviation=[min(value, 1e300) for value in part.scale.deviation.tolist()],
                seconds=part.seconds,
                layers=None if network is None else part.models.layers,  # type: ignore[attr-defined]
                sequential=None if network is None else network.fallback,
            )
        )
    calibration = fitted.calibration
    numbers = {name: float(getattr(calibration, name)) for name in ("intercept", "slope", "noise", "trust")}
    return {"parts": parts, "refused": fitted.refused, "tau": fitted.tau, "seconds": fitted.seconds, **numbers}


def tensors_of(
    fitted: FittedPortfolio,
    graphs: Graphs,
    scores: NDArray[np.float64],
    space: SearchSpace,
    predictions: NDArray[np.float64],
) -> dict[str, Tensor]:
    """What a file holds beside its header.

    Args:
        fitted: the portfolio.
        graphs: [n] the labelled architectures.
        scores: [n] theirs.
        space: of the architectures.
        predictions: [n] what the predictor says of them.
    """
    padded = graphs.plain().pad(max(graphs.nodes, space.max_nodes))
    tensors = graph_tensors("probe", padded) | space_tensors(space)
    tensors |= {"probe/scores": torch.from_numpy(predictions), "scores": torch.from_numpy(scores)}
    tensors |= {
        "folds": torch.from_numpy(fitted.assigned),
        "held_out": torch.from_numpy(fitted.held_out),
        "errors": torch.from_numpy(fitted.calibration.errors),
    }
    for number, part in enumerate(fitted.parts):
        tensors[f"{number}/held_out"] = torch.from_numpy(part.held_out)
        if isinstance(part.models, Networks) and fitted.weights[number] > 0:
            trained = part.models.trained
            weights = trained.average or trained.ensemble.parameters
            tensors |= {f"{number}/parameter/{name}": tensor for name, tensor in weights.items()}
            tensors |= {f"{number}/buffer/{name}": tensor for name, tensor in trained.ensemble.buffers.items()}
    return tensors


def load(path: Path | str) -> tuple[PortfolioHeader, dict[str, Tensor]]:
    """Header and tensors of a file. ArchrankError, one line, for anything that `AutoPredictor.save` did not write."""
    return read_header(path, PortfolioHeader, "AutoPredictor.save")


def portfolio_of(path: Path | str, header: PortfolioHeader, given: Any) -> Any:
    """The portfolio of a file: a built-in one by its name, or the one the caller gives. Nothing else is looked up."""
    info = catalog.builtin().get(header.portfolio)
    if given is None and (info is None or not info.portfolio):
        raise ArchrankError(
            f"{path} was saved from the portfolio {shown(header.portfolio)}, which is not built in: pass its function, "
            "AutoPredictor.load(path, portfolio=my_portfolio)"
        )
    return header.portfolio if given is None else given


def labelled(path: Path | str, tensors: Mapping[str, Tensor], space: SearchSpace) -> tuple[Graphs, NDArray[np.float64]]:
    """The labelled architectures [n] in a file, and their scores [n]."""
    graphs, _ = probe_of(path, tensors, space)
    scores = tensors.get("scores")
    if scores is None or scores.dtype != torch.float64 or list(scores.shape) != [len(graphs)]:
        raise ArchrankError(f"{path} is damaged: 'scores' is missing or has another shape or type")
    return graphs, scores.numpy()


def restored(
    path: Path | str,
    header: PortfolioHeader,
    tensors: Mapping[str, Tensor],
    portfolio: Portfolio,
    pool: Pool,
    labels: NDArray[np.float64],
) -> FittedPortfolio:
    """The portfolio of a file, with networks of its weights and regressors fitted again.

    Args:
        path: the file, for messages.
        header: what it says.
        tensors: what it holds.
        portfolio: what its name stands for.
        pool: its labelled architectures [n].
        labels: [n] what the parts were fitted to.

    Raises:
        ArchrankError: what it holds does not fit the portfolio.
    """
    try:
        folds = tensors["folds"].numpy()
        known = {part.label: part for part in portfolio.parts}
        parts = []
        for number, said in enumerate(header.parts):
            if (part := known.get(said.label)) is None:
                raise ArchrankError(f"the portfolio has no part {shown(said.label)}")
            models: Models
            if said.weight > 0 and part.learned:
                models = _networks(number, said, part, tensors, pool)
            else:
                chosen = training_rows(folds, said.models) if said.weight > 0 else []
                models = fit_regressors(part, pool, np.arange(len(labels)), labels, chosen, header.seed)
            scale = Scale(np.array(said.mean), np.array(said.deviation))
            held_out = tensors[f"{number}/held_out"].numpy()
            parts.append(FittedPart(part, models, scale, said.used, held_out, said.seconds))
        numbers = (header.intercept, header.slope, header.noise, header.trust)
        return FittedPortfolio(
            parts,
            np.array([said.weight for said in header.parts]),
            Calibration(*numbers, tensors["errors"].numpy()),
            header.tau,
            tensors["held_out"].numpy(),
            folds,
            dict(header.refused),
            header.seconds,
        )
    except ArchrankError as error:
        raise ArchrankError(f"{path} does not fit its portfolio: {error}") from None
    except Exception as error:  # whatever an encoder does with weights that are not its own
        raise ArchrankError(f"{path} is damaged, or from another version: {one_line(error, 160)}") from None


def _networks(number: int, said: PartHeader, part: Any, tensors: Mapping[str, Tensor], pool: Pool) -> Networks:
    layers = said.layers or Head()
    probe = pool.graphs[:2]

    def network() -> Network:
        return Network(build(part.encoder, pool.space, part.options), layers, probe)

    with torch.random.fork_rng(devices=[]):
        ensemble = Ensemble([network() for _ in range(said.models)]).train(False)
    for kind, own in (("parameter", ensemble.parameters), ("buffer", ensemble.buffers)):
        for name, tensor in own.items():
            saved = tensors[f"{number}/{kind}/{name}"]
            if saved.shape != tensor.shape or saved.dtype != tensor.dtype:
                raise ArchrankError(f"{shown(name)} of {said.label} has another shape or type")
            with torch.no_grad():
                tensor.copy_(saved)
    if said.sequential is not None:
        ensemble.separate(said.sequential)
    finite = torch.ones(said.models, dtype=torch.bool)
    return Networks(part, Trained(ensemble, pool.graphs, None, False, 0.0, finite, []), layers)
