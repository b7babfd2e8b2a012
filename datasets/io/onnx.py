"""ONNX models as graphs of their operators.

The file format is read directly (an ONNX file is a protocol-buffer message), so neither onnx nor its runtime is needed,
and nothing in a file is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from archrank.datasets.errors import DataError
from archrank.datasets.io import tfrecord

ONNX_LIMIT = 2 << 30
LARGEST = 2000
_SETTINGS = {"kernel_shape", "strides", "group"}


@dataclass(frozen=True)
class OnnxNode:
    """An operator: its type, the numbers in its weights, and kernel, strides and groups where it has some."""

    kind: str
    parameters: int = 0
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    group: int = 1

    @property
    def name(self) -> str:
        """The type with what tells operators of one type apart: `Conv3x3`, `Conv3x3s2`, `Conv3x3g` (in groups)."""
        size = "x".join(map(str, self.kernel))
        stride = f"s{'x'.join(map(str, dict.fromkeys(self.strides)))}" if set(self.strides) - {1} else ""
        return self.kind + size + stride + ("g" if self.group > 1 else "")


@dataclass(frozen=True)
class OnnxGraph:
    """nodes: the operators in the order of the file. edges: pairs (u, v) of positions, 0 standing for what is fed in,
    1, 2, ... for the operators, and the last for what comes out. Weights are no nodes."""

    nodes: list[OnnxNode]
    edges: list[tuple[int, int]]


def parse_onnx(data: bytes, where: str) -> OnnxGraph:
    """The graph of an ONNX model, whose file is in topological order; DataError if it is damaged, cyclic or empty.

    ModelProto: 7 graph. GraphProto: 1 node, 5 initializer, 11 input, 12 output. NodeProto: 1 input, 2 output, 4
    op_type, 5 attribute. TensorProto: 1 dims, 8 name. AttributeProto: 1 name, 3 i, 8 ints.
    """
    try:
        graphs = [value for number, _, value in tfrecord.fields(data) if number == 7 and isinstance(value, bytes)]
        parts: dict[int, list[bytes]] = {1: [], 5: [], 11: [], 12: []}
        for number, _, value in tfrecord.fields(graphs[0]) if graphs else ():
            if number in parts and isinstance(value, bytes):
                parts[number].append(value)
        weights = {name: prod(_numbers(part, 1)[:8]) for part in parts[5] for name in _texts(part, 8)}
        inputs = [name for part in parts[11] for name in _texts(part, 1) if name not in weights]
        outputs = [name for part in parts[12] for name in _texts(part, 1)]
        steps = [(_texts(part, 1), _texts(part, 2), _node(part, weights)) for part in parts[1]]
    except ValueError as error:
        raise DataError(f"{where}: not a complete ONNX file ({error})") from None
    if not steps or len(steps) > LARGEST:
        raise DataError(f"{where}: holds {len(steps)} operators; 1 to {LARGEST} make sense here; is it an ONNX file?")
    made_later = {name for _, results, _ in steps for name in results}
    edges, maker = set(), dict.fromkeys(inputs, 0)
    for number, (sources, results, _) in enumerate(steps, 1):
        for source in sources:
            if source in maker:
                edges.add((maker[source], number))
            elif source in made_later:
                raise DataError(
                    f"{where}: operator {number} reads '{source[:60]}' before it is made; the graph is cyclic or out of order"
                )
        maker |= dict.fromkeys(results, number)
    edges |= {(maker[name], len(steps) + 1) for name in outputs if name in maker}
    return OnnxGraph([node for *_, node in steps], sorted(edges))


def _node(message: bytes, weights: dict[str, int]) -> OnnxNode:
    settings: dict[str, tuple[int, ...]] = {}
    for number, _, value in tfrecord.fields(message):
        if number == 5 and isinstance(value, bytes):
            name = next(iter(_texts(value, 1)), "")
            if name in _SETTINGS:
                settings[name] = (*_numbers(value, 3), *_numbers(value, 8))
    kinds = _texts(message, 4)
    return OnnxNode(
        kinds[0] if kinds else "unknown",
        sum(weights.get(name, 0) for name in _texts(message, 1)),
        settings.get("kernel_shape", ()),
        settings.get("strides", ()),
        next(iter(settings.get("group", ())), 1),
    )


def _texts(message: bytes, tag: int) -> list[str]:
    return [
        value.decode("utf-8", errors="replace")
        for number, _, value in tfrecord.fields(message)
        if number == tag and isinstance(value, bytes)
    ]


def _numbers(message: bytes, tag: int) -> list[int]:
    """Whole numbers of a field, packed into one or one each."""
    numbers: list[int] = []
    for number, kind, value in tfrecord.fields(message):
        if number == tag and kind == 0 and isinstance(value, int):
            numbers.append(value)
        elif number == tag and kind == 2 and isinstance(value, bytes):
            numbers += tfrecord.varints(value)
    return numbers
