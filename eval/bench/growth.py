"""How cost grows with the members of an ensemble, the labels, the nodes of a graph, and the architectures to
predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.bench.case import Case
from archrank.eval.bench.results import SampleFile
from archrank.eval.bench.worker import Worker

ENCODERS = ("gcn", "flowerformer")
# A size whose single step would take longer, or that would need more memory, than this is left out, and said to be.
LONGEST_STEP_S = 20.0
MOST_BYTES = 6 * 2**30
# A prediction that takes longer is not repeated.
LONG_S = 30.0


@dataclass(frozen=True)
class GrowthAxis:
    """What one part varies: sizes of what, the unit of cost, the case of a size, and the power of the size that time
    and memory may grow with."""

    name: str
    of: str
    sizes: tuple[int, ...]
    cost: str
    case: Callable[[str, int], Case]
    power: int = 1


def _members(encoder: str, size: int) -> Case:
    return Case(encoder, recipe="common", members=size)


def _budget(encoder: str, size: int) -> Case:
    return Case(encoder, recipe="common", budget=size, members=4)


def _epochs(encoder: str, size: int) -> Case:
    return Case(encoder, recipe="paper", budget=size, members=4)


def _nodes(encoder: str, size: int) -> Case:
    return Case(encoder, recipe="common", budget=32, members=1, nodes=size)


def _space(encoder: str, size: int) -> Case:
    return Case(encoder, recipe="common", budget=32, members=1, cells=64)


LABELS = (20, 78, 390, 1950, 7800)
PARTS: dict[str, tuple[GrowthAxis, ...]] = {
    "members": (
        GrowthAxis(
            "members",
            "members",
            (1, 2, 4, 8, 16, 32, 64),
            "update of the whole ensemble (common recipe, batch 16, 78 labels)",
            _members,
        ),
    ),
    "budget": (
        GrowthAxis(
            "budget", "labels", LABELS, "update and member (common recipe: 1,000 updates whatever the budget)", _budget
        ),
        GrowthAxis("epochs", "labels", LABELS, "epoch and member (paper recipe)", _epochs),
    ),
    "nodes": (
        GrowthAxis(
            "nodes",
            "nodes",
            (7, 15, 30, 60, 120, 240, 600),
            "update (common recipe, 16 random graphs of so many nodes)",
            _nodes,
            2,
        ),
    ),
    "space": (
        GrowthAxis(
            "space",
            "architectures",
            (1_000, 10_000, 100_000, 423_624),
            "prediction of all architectures (NAS-Bench-101-sized cells)",
            _space,
        ),
    ),
}
# An epoch of thousands of labels is long, and its steps are like any others: one encoder shows it.
ONLY = {"epochs": ("gcn",)}


def grow(
    parts: Sequence[str],
    encoders: Sequence[str],
    results: Callable[[str], SampleFile],
    *,
    benchmark: str = "nasbench201",
    device: str = "cpu",
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    seconds: float = 0.5,
    updates: int | None = None,
    threads: int = 1,
    log: Callable[[str], None] = print,
) -> None:
    """Measure the chosen parts. results: where the samples of a part go. sizes: in place of each part's own. updates:
    as in `compare`."""
    for name in parts:
        for axis in PARTS[name]:
            for encoder in [e for e in encoders if e.split("[")[0] in ONLY.get(axis.name, (e.split("[")[0],))]:
                _measure_axis(
                    axis,
                    encoder,
                    results(f"growth-{axis.name}"),
                    benchmark,
                    device,
                    sorted(sizes or axis.sizes),
                    repeats,
                    seconds,
                    updates,
                    threads,
                    log,
                )


def _measure_axis(
    axis: GrowthAxis,
    encoder: str,
    results: SampleFile,
    benchmark: str,
    device: str,
    sizes: Sequence[int],
    repeats: int,
    seconds: float,
    updates: int | None,
    threads: int,
    log: Callable[[str], None],
) -> None:
    results.begin(
        encoder + (f" ({threads} threads)" if threads > 1 else "") + (f" on {device}" if device != "cpu" else "")
    )
    results.add("growth", cost=axis.cost, threads=threads, encoder=encoder)
    # One process for all sizes of an encoder, from small to large, so that its peak memory is that of the largest so
    # far.
    with Worker(threads) as worker:
        before: tuple[int, float, float] | None = None
        idle = 0.0
        for size in sizes:
            if before and (why := _too_much(size, axis.power, *before, idle)):
                results.add("left out", size=size, why=why)
                continue
            settings = asdict(axis.case(encoder, size)) | {"device": device, "benchmark": benchmark}
            taken = memory = 0.0
            try:
                ready = worker.ask("prepare", case=settings, variant="ensemble")
                idle = idle or float(ready["idle"])
                for repeat in range(repeats):
                    sample = _sample(axis, worker, ready, size, seconds, updates)
                    log(f"{encoder}: {axis.name} {size:,}: {sample['wall']:.3g} s")
                    results.add("size", size=size, repeat=repeat, **sample)
                    taken, memory = sample["wall"], float(sample["peak"])
                    if axis.name == "space" and taken > LONG_S:
                        break
                results.add("size roofline", size=size, scale=_scale(axis, ready, size), **worker.ask("roofline"))
                before = size, taken, memory
            except ArchrankError as error:
                results.add("left out", size=size, why=str(error))
                if not worker.process.is_alive():
                    return


def _sample(
    axis: GrowthAxis, worker: Worker, ready: dict[str, Any], size: int, seconds: float, updates: int | None
) -> dict[str, Any]:
    """One sample, its `wall` and `cpu` in the part's unit of cost."""
    if axis.name == "space":
        worker.ask("train", updates=1)
        return worker.ask("predict_cells", cells=size)
    sample = worker.ask("train", updates=1 if axis.name == "epochs" else updates, seconds=seconds)
    scale = _scale(axis, ready, size)
    return sample | {"wall": sample["wall"] * scale, "cpu": sample["cpu"] * scale}


def _scale(axis: GrowthAxis, ready: dict[str, Any], size: int) -> int:
    """How many steps of one member (for `space`: scores) the part's unit of cost holds."""
    return {"members": size, "space": size, "epochs": int(ready["per_epoch"])}.get(axis.name, 1)


def _too_much(size: int, power: int, last: int, seconds: float, memory: float, idle: float) -> str:
    """Why a size is not tried, from what the last one took and the power that both grow with; empty if nothing speaks
    against it."""
    grown = (size / last) ** power
    if idle + grown * (memory - idle) > MOST_BYTES:
        return f"from {last:,} on, growth by the power {power} would need {(idle + grown * (memory - idle)) / 2**30:.1f} GiB"
    if power > 1 and grown * seconds > LONGEST_STEP_S:
        return f"from {last:,} on, growth by the power {power} would take {grown * seconds:.0f} s a step"
    return ""
