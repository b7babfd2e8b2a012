"""Files of fitted predictors: weights as safetensors, and one typed header. Reading one runs nothing that the file
names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError, DataError, one_line
from archrank.datasets.graphs import BASE, Graphs
from archrank.datasets.io.bounded import shown
from archrank.datasets.io.paths import is_file
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.encoders.catalog import EncoderInfo
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.network import make_head

# No option or layer is larger: 2^16 units, layers or steps.
LARGEST = 1 << 16
# How far predictions may lie apart on another machine, in parts of their range.
TOLERANCE = 1e-3
TYPES = {"ops": torch.int64, "adj": torch.bool, "mask": torch.bool, "cell": torch.int64, "attrs": torch.float32}
H = TypeVar("H", bound=BaseModel)


class Strict(BaseModel):
    """Fields of exactly these types, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SpaceHeader(Strict):
    """The search space of a predictor, without its `support` and `constant`, which are tensors."""

    name: str = Field(max_length=200)
    ops: list[str] = Field(min_length=1)
    max_nodes: int = Field(ge=1)
    roles: dict[str, int] = {}
    cells: int = Field(default=1, ge=1, le=64)
    attrs: list[str] = []

    @classmethod
    def of(cls, space: SearchSpace) -> SpaceHeader:
        """Of a search space."""
        return cls.model_validate(space.to_card())


class Header(Strict):
    """What a file says of the predictor in it.

    kind: whether it holds networks with a learned encoder, or a head on a fixed encoding with the features of the
    architectures it was fitted to. members: how many predictors of different seeds.
    encoder: its name. options: those that were given; config: all that it was made with, a recipe's published size
    included. head: as it was given;
    layers: what it is made of. sequential: why it is called outside vmap, or null. seed, recipe, direction: as
    `Predictor` takes them.
    """

    version: Literal[1] = 1
    kind: Literal["networks", "encoded"] = "networks"
    members: int = Field(default=1, ge=1, le=1000)
    encoder: str = Field(max_length=200)
    options: dict[str, Any]
    config: dict[str, Any]
    head: str | None = Field(max_length=200, pattern=r"^[\w-]+(\[[^:]*\])?$")
    layers: Head
    pairs: bool
    sequential: str | None
    recipe: str = Field(max_length=1000)
    direction: Literal["max", "min"]
    seed: int = Field(ge=0, lt=2**63)
    space: SpaceHeader


def write(path: Path | str, header: BaseModel, tensors: Mapping[str, Tensor]) -> None:
    """Write a file that `read` takes. ArchrankError if it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            str(path),
            {"archrank": header.model_dump_json()},
        )
    except (OSError, SafetensorError) as error:
        raise ArchrankError(f"{path} cannot be written: {one_line(error)}") from None


def read(path: Path | str) -> tuple[Header, dict[str, Tensor]]:
    """Header and tensors of a file. ArchrankError, one line, for anything that `write` did not write."""
    return read_header(path, Header, "Predictor.save")


def read_header(path: Path | str, kind: type[H], writer: str) -> tuple[H, dict[str, Tensor]]:
    """Header and tensors of a file of one kind. writer: what writes such files, for messages. ArchrankError, one line,
    for any other file."""
    from safetensors import safe_open

    if not is_file(path):
        raise ArchrankError(f"{path} is no file; give one that {writer} wrote")
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get("archrank")
    except Exception as error:  # the reader raises errors of many types for damaged files
        raise ArchrankError(f"{path} is no file of weights: {one_line(error, 160)}") from None
    if text is None:
        raise ArchrankError(f"{path} holds weights, but not those of a saved predictor")
    try:
        return kind.model_validate_json(text), tensors
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:80] or "header"
        raise ArchrankError(
            f"{path} is damaged, or from another version of archrank: {place!r}: {first['msg'].splitlines()[0][:120]}"
        ) from None


def encoder_of(path: Path | str, header: Header, given: Any) -> EncoderInfo:
    """The encoder of a file: a built-in one by its name, or the one the caller gives. Nothing else is looked up: a file
    must not choose what runs."""
    if given is None:
        if header.encoder in catalog.builtin():
            return catalog.builtin()[header.encoder]
        raise ArchrankError(
            f"{path} was saved from the encoder {shown(header.encoder)}, which is not built in: pass its class, "
            "Predictor.load(path, encoder=MyEncoder)"
        )
    infos = catalog.find(given)
    if len(infos) != 1:
        raise ArchrankError(f"encoder={given!r} names {len(infos)} encoders; pass one class")
    return infos[0]


def space_tensors(space: SearchSpace) -> dict[str, Tensor]:
    """What a file holds of a search space beside its header, which `space_of` reads."""
    edges = {"support": space.support, "constant": space.constant}
    return {f"space/{name}": torch.from_numpy(table) for name, table in edges.items() if table is not None}


def graph_tensors(part: str, graphs: Graphs) -> dict[str, Tensor]:
    """Graphs as tensors of a file, which `graphs_of` reads."""
    return {f"{part}/{name}": tensor for name, tensor in graphs.plain().tensors().items()}


def space_of(path: Path | str, said: SpaceHeader, tensors: Mapping[str, Tensor]) -> SearchSpace:
    """The search space in a file. said: what its header says of it."""
    edges = {name: tensors.get(f"space/{name}") for name in ("support", "constant")}
    for name, table in edges.items():
        if table is not None and (table.dtype != torch.bool or list(table.shape) != [said.max_nodes, said.max_nodes]):
            raise ArchrankError(
                f"{path} is damaged: 'space/{name}' is no table of {said.max_nodes} x {said.max_nodes} truth values"
            )
    support, constant = (None if table is None else table.numpy() for table in edges.values())
    try:
        return SearchSpace(
            said.name,
            tuple(said.ops),
            said.max_nodes,
            said.roles,
            said.cells,
            support,
            constant,
            tuple(said.attrs),
        )
    except DataError as error:
        raise ArchrankError(f"{path} is damaged: {error}") from None


def probe_of(path: Path | str, tensors: Mapping[str, Tensor], space: SearchSpace) -> tuple[Graphs, Tensor]:
    """The few architectures in a file, [n], and the scores [n] that its predictor gave them when it was saved."""
    graphs, scores = graphs_of(path, tensors, space, "probe"), tensors.get("probe/scores")
    if scores is None or scores.dtype != torch.float64 or list(scores.shape) != [len(graphs)]:
        raise ArchrankError(f"{path} is damaged: 'probe/scores' is missing or has another shape or type")
    return graphs, scores


def check_same(path: Path | str, before: Tensor, after: NDArray[np.float64], suspect: str) -> None:
    """ArchrankError unless the architectures in a file are predicted as they were when it was saved.

    Args:
        path: the file.
        before: [n] the predictions in it.
        after: [n] those of what was loaded.
        suspect: what else may have changed, as a question.
    """
    scores = before.numpy()
    size = max(float(np.ptp(scores)), 1e-3 * float(np.abs(scores).max()), 1e-12)
    apart = np.abs(after - scores).max() / size
    if not apart <= TOLERANCE:
        raise ArchrankError(
            f"{path}: loaded predictions differ from those at saving by {apart:.0e} of their range; {suspect}"
        )


def graphs_of(path: Path | str, tensors: Mapping[str, Tensor], space: SearchSpace, part: str) -> Graphs:
    """Architectures of a part of a file, [n]."""
    parts = {name: tensors.get(f"{part}/{name}") for name in BASE}
    ops = parts["ops"]
    if ops is None or ops.dim() != 2 or not ops.numel():
        raise ArchrankError(f"{path} is damaged: it holds no architectures in '{part}'")
    count, nodes = ops.shape
    shapes = {
        "ops": [count, nodes],
        "adj": [count, nodes, nodes],
        "mask": [count, nodes],
        "cell": [count, nodes],
        "attrs": [count, nodes, len(space.attrs)],
    }
    for name, tensor in parts.items():
        if tensor is None and name == "attrs":
            continue
        if tensor is None or tensor.dtype != TYPES[name] or list(tensor.shape) != shapes[name]:
            raise ArchrankError(f"{path} is damaged: '{part}/{name}' is missing or has another shape or type")
    adj, cell = parts["adj"], parts["cell"]
    assert adj is not None and cell is not None
    if (
        nodes < space.max_nodes
        or ops.min() < 0
        or ops.max() >= len(space.ops)
        or cell.min() < 0
        or cell.max() >= space.cells
        or bool(adj.tril().any())
    ):
        raise ArchrankError(f"{path} is damaged: its architectures do not fit the space '{space.name}'")
    return Graphs(**parts)  # type: ignore[arg-type]


def state_of(network: nn.Module, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Everything tensors hold of one fitted network: `parameters` under their names, and all buffers, those too that a
    state dict leaves out."""
    buffers = {f"buffer/{name}": tensor for name, tensor in network.named_buffers()}
    return {f"parameter/{name}": tensor for name, tensor in parameters.items()} | buffers


def restore(path: Path | str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network the weights and buffers of a file. ArchrankError if they are not those of this network."""
    own = state_of(network, dict(network.named_parameters()))
    _same_shapes(
        path,
        own,
        {name: tensor for name, tensor in tensors.items() if name.partition("/")[0] in ("parameter", "buffer")},
    )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def check_options(path: Path | str, options: Mapping[str, Any]) -> None:
    """ArchrankError for an option that is larger than any predictor's."""
    if large := [name for name, value in options.items() if isinstance(value, int) and abs(value) > LARGEST]:
        raise ArchrankError(f"{path} is damaged: {shown(large[0])} is larger than any predictor's")


def check_size(path: Path | str, header: Header, make: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """ArchrankError unless the encoder (from `make`) and the head that a file's options describe have the weights that
    are in the file.

    Found out without making room for them: options of a few bytes can ask for gigabytes.
    """
    check_options(path, header.config)
    if len(header.layers.hidden) > len(tensors) or max(header.layers.hidden, default=0) > LARGEST:
        raise ArchrankError(f"{path} is damaged: its head is larger than any predictor's")
    with torch.device("meta"):
        network = nn.ModuleDict({"encoder": make()})
        first = tensors.get("parameter/head.0.weight")
        if not header.pairs and first is not None and first.dim() == 2:
            network["head"] = make_head(first.shape[1], header.layers)
    _same_shapes(
        path,
        {f"parameter/{name}": weight for name, weight in network.named_parameters()},
        {name: tensor for name, tensor in tensors.items() if name.startswith("parameter/")},
    )


def _same_shapes(path: Path | str, own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    for name in sorted(own.keys() | saved.keys()):
        if (
            name not in own
            or name not in saved
            or own[name].shape != saved[name].shape
            or own[name].dtype != saved[name].dtype
        ):
            raise ArchrankError(
                f"{path} was saved from another version of its encoder, or is damaged: {shown(name)} is missing or has another shape or type"
            )
