"""The network a cell stands in: stem, cell, pool, cell, mean over positions, linear.

One `SharedProgram` holds many *members*: every (cell, seed) pair it was made for, side by side in the channel
dimension. Member m owns channels m*C .. (m+1)*C of every activation, convolutions are grouped by member, and batch
normalisation is per channel and so per member. Nothing flows between members: a program trains each as if it were
alone, for one launch instead of many.

The cell follows the official NAS-Bench-101 model: the cell input reaches a vertex through a 1x1 projection, interior
inputs are cut to the vertex's width and added, the output vertex concatenates its predecessors (which share its
channels among them) and adds a projection of the cell input when there is a direct edge. A convolution is conv, batch
norm, ReLU.

Cells of different shape share a program by padding: a vertex is as wide as its widest member, the padding has zero
weights (and so zero gradients), and each operation runs only on the members that have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from archrank.datasets.nb101_cells import CONV1X1, CONV3X3, MAXPOOL3X3, NB101Cell

KERNEL = {CONV1X1: 1, CONV3X3: 3}


@dataclass(frozen=True)
class Skeleton:
    """The macro network around the two cells.

    widths: channels of the first and the second cell (the stem has those of the first). stem_stride: of the 3x3 stem
    convolution. pool: window and stride of the max-pooling between the cells (1: none).
    """

    widths: tuple[int, int] = (24, 24)
    stem_stride: int = 2
    pool: int = 2


def vertex_channels(cell: NB101Cell, width_in: int, width_out: int) -> list[int]:
    """Channels of each vertex, by the official rule: the predecessors of the output share its channels as evenly as
    they can (the first ones get the remainder), every other vertex is as wide as its widest successor.
    """
    matrix, last = cell.matrix, len(cell.ops) - 1
    channels = [width_in] + [0] * (last - 1) + [width_out]
    feeding = [v for v in range(1, last) if matrix[v, last]]
    for position, v in enumerate(feeding):
        channels[v] = width_out // len(feeding) + (position < width_out % len(feeding))
    for v in range(last - 1, 0, -1):
        if not matrix[v, last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v, w])
    return channels


class _Unit:
    """Convolution, batch norm and ReLU for some members: shapes per member, parameters, running statistics."""

    def __init__(
        self, members: list[int], inputs: list[int], outputs: list[int], width_in: int, width_out: int, k: int
    ):
        self.members, self.inputs, self.outputs = members, inputs, outputs
        self.width_in, self.width_out, self.k = width_in, width_out, k
        self.weight = torch.zeros(len(members) * width_out, width_in, k, k)
        self.scale = torch.zeros(len(members) * width_out)
        self.shift = torch.zeros(len(members) * width_out)
        self.mean = torch.zeros(len(members) * width_out)
        self.variance = torch.ones(len(members) * width_out)
        self.folded: tuple[Tensor, Tensor] | None = None

    def initialise(self, position: int, generator: np.random.Generator) -> None:
        """Orthogonal weights for the member at `position`, drawn in its own unpadded shape.

        With a few channels, independent draws differ much in condition from seed to seed; orthogonal ones do not, which
        makes the score of a cell steadier at no cost. The gain keeps the mean square of a weight at 2 / fan-in.
        """
        c_in, c_out, first = self.inputs[position], self.outputs[position], position * self.width_out
        fan_in = c_in * self.k * self.k
        left, _, right = np.linalg.svd(generator.standard_normal((c_out, fan_in)), full_matrices=False)
        drawn = (left @ right * np.sqrt(2.0 * max(1.0, c_out / fan_in))).astype(np.float32)
        self.weight[first : first + c_out, :c_in] = torch.from_numpy(drawn.reshape(c_out, c_in, self.k, self.k))
        self.scale[first : first + c_out] = 1.0

    def to(self, device: torch.device) -> None:
        self.weight = self.weight.to(device).contiguous(memory_format=torch.channels_last).requires_grad_()
        self.scale = self.scale.to(device).requires_grad_()
        self.shift = self.shift.to(device).requires_grad_()
        self.mean, self.variance = self.mean.to(device), self.variance.to(device)

    def __call__(self, x: Tensor, training: bool, momentum: float, stride: int = 1) -> Tensor:
        padding, groups = self.k // 2, len(self.members)
        if training:
            x = F.conv2d(x, self.weight, None, stride, padding, 1, groups)
            x = F.batch_norm(x, self.mean, self.variance, self.scale, self.shift, True, momentum)
        else:
            weight, bias = self.folded or self.fold()
            x = F.conv2d(x, weight, bias, stride, padding, 1, groups)
        return F.relu(x, inplace=True)

    def fold(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that equals this unit at inference (half the memory traffic)."""
        factor = self.scale * torch.rsqrt(self.variance + 1e-5)
        weight = (self.weight * factor[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        return weight, self.shift - self.mean * factor


class SharedProgram:
    """Networks of all `cells` x `seeds`, as one function of a batch of images.

    Members are ordered cell by cell: member c * len(seeds) + s is cell c with seed s. Initial weights depend on nothing
    but (cell hash, seed, skeleton); with `initialise=False` they are zero, enough to count or to time.
    """

    def __init__(
        self,
        cells: Sequence[NB101Cell],
        seeds: Sequence[int],
        classes: int,
        skeleton: Skeleton = Skeleton(),
        device: str | torch.device = "cpu",
        initialise: bool = True,
    ) -> None:
        self.cells, self.seeds, self.skeleton = list(cells), list(seeds), skeleton
        self.device = torch.device(device)
        owners = [cell for cell in cells for _ in seeds]
        count = len(owners)
        first, second = skeleton.widths
        self.stem = _Unit(list(range(count)), [1] * count, [first] * count, 1, first, 3)
        self.stages = [_Stage(owners, first, first), _Stage(owners, first, second)]
        self.head = torch.zeros(count, second, classes)
        self.bias = torch.zeros(count, classes)
        if initialise:
            self._initialise()
        for unit in self.units():
            unit.to(self.device)
        for stage in self.stages:
            stage.to(self.device)
        self.head = self.head.to(self.device).requires_grad_()
        self.bias = self.bias.to(self.device).requires_grad_()

    def _initialise(self) -> None:
        units, (_, second), classes = list(self.units()), self.skeleton.widths, self.head.shape[2]
        for member, (cell, seed) in enumerate((cell, seed) for cell in self.cells for seed in self.seeds):
            digest = hashlib.sha256(f"{cell.hash}/{seed}".encode()).digest()
            generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
            for unit in units:
                if member in unit.members:
                    unit.initialise(unit.members.index(member), generator)
            drawn = generator.standard_normal((second, classes), dtype=np.float32) * np.float32(second**-0.5)
            self.head[member] = torch.from_numpy(drawn)

    def units(self) -> Iterator[_Unit]:
        """Every conv-BN-ReLU, in the order in which a member's initial weights are drawn."""
        yield self.stem
        for stage in self.stages:
            yield from stage.units()

    def parameters(self) -> list[Tensor]:
        """All trainable tensors."""
        return [t for unit in self.units() for t in (unit.weight, unit.scale, unit.shift)] + [self.head, self.bias]

    @torch.no_grad()
    def fold(self) -> None:
        """Fold every batch normalisation once and for all: the program is for inference from here on."""
        for unit in self.units():
            unit.folded = unit.fold()

    def __call__(self, images: Tensor, training: bool = False, momentum: float = 0.1) -> Tensor:
        """Logits [B, members, classes] for images [B, members, H, W] (channels-last memory is fastest on a CPU)."""
        x = self.stem(images, training, momentum, self.skeleton.stem_stride)
        x = self.stages[0](x, training, momentum)
        if self.skeleton.pool > 1:
            x = F.max_pool2d(x, self.skeleton.pool)
        x = self.stages[1](x, training, momentum)
        features = torch.unflatten(x.mean((2, 3)), 1, (len(self.head), -1)).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], features, self.head).transpose(0, 1)


def cost(cell: NB101Cell, classes: int, size: int, skeleton: Skeleton = Skeleton()) -> tuple[int, int]:
    """(trainable parameters, floating-point operations per image of `size` x `size` pixels) of one network.

    A multiply-add counts as two operations; only convolutions and the linear layer are counted.
    """
    program = SharedProgram([cell], [0], classes, skeleton, initialise=False)
    first = (size - 1) // skeleton.stem_stride + 1
    operations = 2 * first**2 * program.stem.weight.numel() + 2 * program.head.numel()
    for stage, side in zip(program.stages, (first, first // skeleton.pool), strict=True):
        operations += sum(2 * side**2 * unit.weight.numel() for unit in stage.units())
    return sum(t.numel() for t in program.parameters()), operations


class _Stage:
    """One cell of every member. `owners[m]` is the cell of member m."""

    def __init__(self, owners: list[NB101Cell], width_in: int, width_out: int) -> None:
        self.count, self.width_in, self.width_out = len(owners), width_in, width_out
        interior = max(len(cell.ops) for cell in owners) - 2
        channels = [vertex_channels(cell, width_in, width_out) for cell in owners]
        self.widths = [max((c[v] for c in channels if v < len(c) - 1), default=0) for v in range(1, interior + 1)]
        self.vertices = [_Vertex(owners, channels, v, width_in, self.widths) for v in range(1, interior + 1)]
        direct = [m for m, cell in enumerate(owners) if cell.matrix[0, -1]]
        self.direct = _unit(direct, [width_in] * self.count, [width_out] * self.count, width_in, width_out, 1)
        self.direct_members = _members(direct, self.count)
        self.feeding = [v for v in range(interior) if any(_feeds(cell, v + 1) for cell in owners)]
        self.pick = self._gather(owners, channels)

    def _gather(self, owners: list[NB101Cell], channels: list[list[int]]) -> Tensor | None:
        """Where each output channel comes from in the padded concatenation (its last channel is zero); None: as it
        is."""
        total = sum(self.widths[v] for v in self.feeding)
        starts = dict(zip(self.feeding, np.cumsum([0] + [self.widths[v] for v in self.feeding]).tolist()))
        zero = self.count * total
        rows = []
        for m, cell in enumerate(owners):
            row = [
                m * total + starts[v] + c
                for v in self.feeding
                if _feeds(cell, v + 1)
                for c in range(channels[m][v + 1])
            ]
            rows += row or [zero] * self.width_out
        return None if rows == list(range(zero)) or not self.feeding else torch.tensor(rows)

    def units(self) -> Iterator[_Unit]:
        for vertex in self.vertices:
            yield from vertex.units()
        if self.direct is not None:
            yield self.direct

    def to(self, device: torch.device) -> None:
        self.pick = None if self.pick is None else self.pick.to(device)
        self.direct_members = None if self.direct_members is None else self.direct_members.to(device)
        for vertex in self.vertices:
            vertex.to(device)

    def __call__(self, x: Tensor, training: bool, momentum: float) -> Tensor:
        states: list[Tensor] = []
        for vertex in self.vertices:
            states.append(vertex(x, states, training, momentum))
        output = None
        if self.feeding:
            parts = [torch.unflatten(states[v], 1, (self.count, self.widths[v])) for v in self.feeding]
            if self.pick is None and len(parts) == 1:
                output = states[self.feeding[0]]
            else:
                output = torch.cat(parts, 2).flatten(1, 2)
            if self.pick is not None:
                output = F.pad(output, (0, 0, 0, 0, 0, 1)).index_select(1, self.pick)
        if self.direct is None:
            assert output is not None  # a cell whose output has no predecessor is not a cell
            return output
        projected = self.direct(_take(x, self.direct_members, self.count), training, momentum)
        return _add(output, projected, self.direct_members, self.count, self.width_out)


class _Vertex:
    """One interior vertex position over all members: who has which inputs, and who computes what."""

    def __init__(
        self, owners: list[NB101Cell], channels: list[list[int]], v: int, width_in: int, widths: list[int]
    ) -> None:
        self.count, self.width, self.widths = len(owners), widths[v - 1], widths
        has = [v < len(cell.ops) - 1 for cell in owners]
        mine = [c[v] if there else 0 for c, there in zip(channels, has, strict=True)]
        entry = [m for m, cell in enumerate(owners) if has[m] and cell.matrix[0, v]]
        self.entry = _unit(entry, [width_in] * self.count, mine, width_in, self.width, 1)
        self.entry_members = _members(entry, self.count)
        # 1 where member m has the edge u -> v and the channel belongs to v (which cuts wider inputs to v's width)
        self.sources: list[tuple[int, Tensor | None]] = []
        for u in range(1, v):
            edge = [has[m] and bool(cell.matrix[u, v]) for m, cell in enumerate(owners)]
            if any(edge):
                mask = torch.zeros(self.count, self.width)
                for m, present in enumerate(edge):
                    mask[m, : mine[m] if present else 0] = 1.0
                self.sources.append((u - 1, None if bool(mask.all()) else mask.reshape(1, -1, 1, 1)))
        self.branches: list[tuple[int, Tensor | None, _Unit | None]] = []
        order: list[int] = []
        for op in (CONV1X1, CONV3X3, MAXPOOL3X3):
            some = [m for m, cell in enumerate(owners) if has[m] and cell.ops[v] == op]
            if some:
                unit = _unit(some, mine, mine, self.width, self.width, KERNEL[op]) if op in KERNEL else None
                self.branches.append((op, _members(some, self.count), unit))
                order += some
        idle = [m for m in range(self.count) if not has[m]]
        self.idle = len(idle)
        self.back = _members(np.argsort(order + idle).tolist(), self.count)

    def units(self) -> Iterator[_Unit]:
        if self.entry is not None:
            yield self.entry
        yield from (unit for _, _, unit in self.branches if unit is not None)

    def to(self, device: torch.device) -> None:
        self.entry_members = None if self.entry_members is None else self.entry_members.to(device)
        self.back = None if self.back is None else self.back.to(device)
        self.sources = [(u, None if mask is None else mask.to(device)) for u, mask in self.sources]
        self.branches = [(op, None if who is None else who.to(device), unit) for op, who, unit in self.branches]

    def __call__(self, entry: Tensor, states: list[Tensor], training: bool, momentum: float) -> Tensor:
        total: Tensor | None = None
        for u, mask in self.sources:
            term = _resize(states[u], self.count, self.widths[u], self.width)
            term = term if mask is None else term * mask
            total = term if total is None else total + term
        if self.entry is not None:
            projected = self.entry(_take(entry, self.entry_members, self.count), training, momentum)
            total = _add(total, projected, self.entry_members, self.count, self.width)
        assert total is not None  # pruned cells leave no vertex without input
        results = []
        for _, members, unit in self.branches:
            x = _take(total, members, self.count)
            results.append(F.max_pool2d(x, 3, 1, 1) if unit is None else unit(x, training, momentum))
        if self.idle:
            results.append(total.new_zeros(len(total), self.idle * self.width, *total.shape[2:]))
        result = results[0] if len(results) == 1 else torch.cat(results, 1)
        return _take(result, self.back, self.count)


def _feeds(cell: NB101Cell, v: int) -> bool:
    return v < len(cell.ops) - 1 and bool(cell.matrix[v, -1])


def _unit(
    members: list[int], inputs: list[int], outputs: list[int], width_in: int, width_out: int, k: int
) -> _Unit | None:
    if not members:
        return None
    return _Unit(members, [inputs[m] for m in members], [outputs[m] for m in members], width_in, width_out, k)


def _members(members: list[int], count: int) -> Tensor | None:
    """Index of some members, or None for all in order, so that the usual case costs nothing."""
    return None if members == list(range(count)) else torch.tensor(members, dtype=torch.int64)


def _take(x: Tensor, members: Tensor | None, count: int) -> Tensor:
    """Channels of the given members: [B, count * C, H, W] -> [B, len(members) * C, H, W]."""
    if members is None:
        return x
    taken = torch.unflatten(x, 1, (count, -1)).index_select(1, members)
    return taken.flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _add(total: Tensor | None, part: Tensor, members: Tensor | None, count: int, width: int) -> Tensor:
    """`total` + `part`, where part holds only the given members."""
    if members is None:
        return part if total is None else total + part
    if total is None:
        total = part.new_zeros(len(part), count * width, *part.shape[2:])
    parts = torch.unflatten(part, 1, (len(members), width))
    grown = torch.unflatten(total, 1, (count, width)).index_add(1, members, parts)
    return grown.flatten(1, 2).contiguous(memory_format=torch.channels_last)


def _resize(x: Tensor, count: int, width: int, size: int) -> Tensor:
    """Every member's channels cut or zero-padded from `width` to `size`."""
    if width == size:
        return x
    x = torch.unflatten(x, 1, (count, width))
    x = x[:, :, :size] if size < width else F.pad(x, (0, 0, 0, 0, 0, size - width))
    return x.flatten(1, 2).contiguous(memory_format=torch.channels_last)
