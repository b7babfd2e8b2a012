"""Fitted members as tensors and a header, and back; see `archrank.eval.saved` for the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.eval import saved
from archrank.eval.engine.batching import Member
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.network import Network
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.fitted import EncodedModel, Encoding, Model, Networks
from archrank.eval.trials.job import TrainingJob, make_job
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import Spec

STACKED = ("parameter", "buffer")
Tensors = dict[str, Tensor]


def described(
    job: TrainingJob, model: Model, members: int, about: Mapping[str, Any]
) -> tuple[saved.Header, dict[str, Tensor]]:
    """Header and tensors of fitted members. about: recipe, direction and seed of the estimator."""
    spec, networks = job.spec, model.networks if isinstance(model, EncodedModel) else model
    assert networks is None or isinstance(networks, Networks)
    tensors: Tensors = {}
    if networks is not None:
        tensors |= _network_tensors(networks)
    if isinstance(model, EncodedModel):
        tensors |= saved.graph_tensors("known", model.encoding.known)
        tensors["known/features"] = torch.from_numpy(np.ascontiguousarray(model.encoding.features))
        tensors["known/labels"] = torch.from_numpy(model.labels)
    tensors |= saved.space_tensors(job.space)
    header = {
        "kind": "encoded" if isinstance(model, EncodedModel) else "networks",
        "encoder": spec.info.name,
        "options": spec.config,
        "config": job.config,
        "head": None if spec.head_text == spec.default_head else spec.head_text,
        "layers": (networks.layers if networks else Head()).model_dump(),
        "pairs": networks.pairs if networks else False,
        "sequential": networks.ensemble.fallback if networks else None,
        "members": members,
        "space": job.space.to_card(),
        **about,
    }
    return saved.Header.model_validate(header, strict=False), tensors


def job_of(header: saved.Header, spec: Spec, space: SearchSpace, graphs: Graphs) -> TrainingJob:
    """The predictor of a file, with the options that it was made with. graphs: some of its architectures."""
    job = make_job(spec, find_recipe("common"), space, graphs)
    return replace(job, config=spec.info.validate(header.config))


def restored(
    path: Path | str,
    header: saved.Header,
    tensors: Tensors,
    job: TrainingJob,
    graphs: Graphs,
    seeds: Sequence[int],
) -> Model:
    """The fitted members in a file. graphs: architectures to try networks on. ArchrankError if they do not fit."""
    if header.kind == "networks":
        return _networks(path, header, tensors, job, None, graphs)
    saved.check_options(path, {**header.config, **job.spec.head_config})
    known = saved.graphs_of(path, tensors, job.space, "known")
    features, labels = (tensors.get(f"known/{name}") for name in ("features", "labels"))
    if (
        features is None
        or labels is None
        or features.dtype != torch.float64
        or labels.dtype != torch.float64
        or features.dim() != 2
        or len(features) != len(known)
        or labels.dim() != 1
        or not 2 <= len(labels) <= len(known)
        or not bool(features.isfinite().all() and labels.isfinite().all())
    ):
        raise ArchrankError(
            f"{path} is damaged: 'known/features' or 'known/labels' is missing or has another shape or type"
        )
    encoding = Encoding(job, known, len(labels), features.numpy())
    if not job.spec.neural:
        return EncodedModel.fit(encoding, labels.numpy(), seeds)
    encoded = replace(job, graphs=known).with_features(features.numpy())
    rows = np.arange(len(labels))
    member = Member(header.seed, rows, labels.numpy(), rows[:0])
    return EncodedModel(encoding, labels.numpy(), _networks(path, header, tensors, encoded, member, encoded.graphs))


def _network_tensors(networks: Networks) -> Tensors:
    """Weights and buffers of one network under their names; of several, stacked, and the spread of their scores."""
    ensemble, weights = networks.ensemble, networks.weights or networks.ensemble.parameters
    if ensemble.size > 1:
        tensors = {f"parameter/{name}": stacked for name, stacked in weights.items()}
        tensors |= {f"buffer/{name}": stacked for name, stacked in ensemble.buffers.items()}
        return tensors | ({} if networks.spread is None else {"spread": torch.from_numpy(networks.spread)})
    first = saved.state_of(ensemble.skeleton, {name: stacked[0] for name, stacked in weights.items()})
    return first | {f"buffer/{name}": stacked[0] for name, stacked in ensemble.buffers.items()}


def _networks(
    path: Path | str,
    header: saved.Header,
    tensors: Tensors,
    job: TrainingJob,
    member: Member | None,
    graphs: Graphs,
) -> Networks:
    """The networks in a file. member: whose look-up of a fixed encoding they have, or None."""
    parts = [_of_member(path, tensors, number, header.members) for number in range(header.members)]
    builtin = catalog.builtin()
    if header.encoder in builtin and job.encoder is builtin[header.encoder].load():
        saved.check_size(path, header, lambda: job.build(member), parts[0])
    made = []
    for part in parts:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(header.seed, "restored"))
            network = Network(job.build(member), header.layers, graphs[:1], header.pairs)
        saved.restore(path, network, part)
        made.append(network)
    ensemble = Ensemble(made).train(False)
    if header.sequential is not None:
        ensemble.separate(header.sequential)
    spread = tensors.get("spread")
    if spread is not None and (spread.dtype != torch.float64 or list(spread.shape) != [2, header.members]):
        raise ArchrankError(f"{path} is damaged: 'spread' has another shape or type")
    return Networks(ensemble, header.layers, header.pairs, None, None if spread is None else spread.numpy())


def _of_member(path: Path | str, tensors: Tensors, number: int, count: int) -> Tensors:
    """The tensors of one of so many stacked networks."""
    if count == 1:
        return tensors
    own = {}
    for name, tensor in tensors.items():
        if name.partition("/")[0] in STACKED:
            if not tensor.dim() or len(tensor) != count:
                raise ArchrankError(f"{path} is damaged: '{name[:80]}' is not that of {count} members")
            own[name] = tensor[number]
    return own
