"""The performance page, written from the raw samples of `archrank bench`: no number on it is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archrank.eval.bench.case import VARIANTS, WHOLE
from archrank.eval.bench.growth import PARTS
from archrank.eval.bench.results import Sample
from archrank.eval.bench.summary import Spread, clock, distinct, growth, ratios, roofline_seconds, select, spread
from archrank.reports.bench_official import beside_official
from archrank.reports.bench_tables import duration, megabytes, table, three, times
from archrank.reports.figures.bench import Line, growth_figure, ratio_figure
from archrank.reports.style import Palette
from archrank.reports.svg import as_file

__all__ = ["HEAD", "write_page"]

HEAD = """# Performance

Written by `archrank bench --page` from raw samples; repeat the commands at the end to measure your machine.

**How it is measured.** Every variant of a piece of work runs in a process of its own, with the number of PyTorch threads given below; the processes
take turns, variant after variant, repeat after repeat, so that a busy minute touches all variants alike. All get the environment that `archrank run` gives its workers
(an allocator that keeps freed memory), which helps every variant. Ratios are formed within a repeat; shown are their
median and, in brackets, the smallest and the largest. A step is an optimiser step of one member (an ensemble's step divided by its members); the
first step of a training (on a GPU, the capture of its steps too), the making of networks and of graph structure are not counted, and steps are counted in whole epochs where the recipe
counts epochs. Wall is the clock; CPU is processor time, which is the steadier on a machine that does other things too. Peak memory is the kernel's
high-water mark of the whole process; "idle" beside it is the same after importing what that variant needs and nothing else: nothing is subtracted.
The share of time in Python is 1 - (self CPU time of all operators that `torch.profiler` records, forward and backward) / (wall time); recording
makes operators longer, so without it the share is somewhat larger.

**The roofline bound** of a piece of work is its arithmetic (floating-point operations counted by PyTorch's `FlopCounterMode` in one member's forward and
backward pass, times members) at the rate this machine reaches in stacked float32 matrix products of these shapes, or its bytes (weights, and
activations kept for the backward pass, each once) at the bandwidth of a large copy, whichever takes longer. Both rates are measured beside the work.

**Compiling** (`--compile`) is asked for and never chosen by itself. A compiled step adds numbers up in another order, so that scores agree to rounding and
not to the bit. If a run decided by how long a machine takes to build a program, its digits would follow a stopwatch; if by numbers of updates and weights
alone, they would still depend on whether a machine has a C++ compiler. So a trial without `--compile` is the same on equal hardware, whatever is installed.
Each trial's record says what building took; it pays in a training of N updates where N times what a step saves, all members together, is more than that.
"""
TABLE_GPU = "**GPU**: not measured: no GPU was available."


def write_page(samples: Sequence[Sample], folder: Path, name: str = "performance") -> list[Path]:
    """Write `<name>.md` and its figures under `figures/` into `folder`; returns the paths."""
    figures: dict[str, bytes] = {}
    parts = [
        HEAD,
        *_machines(samples),
        *_side_by_side(samples, figures, name),
        *beside_official(samples),
        *_commands_timed(samples),
        *_growth(samples, figures, name),
    ]
    if commands := [command for command in distinct(samples, lambda s: str(s["command"])) if command]:
        parts += ["## The commands", "", "```console", *(f"$ {command}" for command in commands), "```", ""]
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.md"]
    written[0].write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    for file, data in figures.items():
        written.append(folder / "figures" / file)
        written[-1].write_bytes(data)
    return written


def _machines(samples: Sequence[Sample]) -> list[str]:
    lines = distinct(
        samples,
        lambda s: (
            "- {hardware}, {threads} thread(s), device {device}; torch {torch}, Python {python}, archrank {archrank} "
            "({commit})".format(**s["machine"])
        ),
    )
    gpu = [] if any(s["machine"]["device"] != "cpu" for s in samples) else ["", TABLE_GPU]
    return ["**Machine**", "", *lines, *gpu, ""]


# ---- side by side ----


def _side_by_side(samples: Sequence[Sample], figures: dict[str, bytes], name: str) -> list[str]:
    mine = select(samples, part="encoders")
    if not mine:
        return []
    rows, against, bounds, drawn = [], [], [], []
    notes: list[str] = []
    for case in distinct(mine, lambda s: str(s["case"])):
        of = select(mine, case=case)
        cost_ratios: dict[str, Spread] = {}
        for ready in select(of, what="ready"):
            variant = ready["variant"]
            rows.append(
                [case, f"{ready['recipe']}, {ready['batch']}", _variant(variant, ready["members"]), *_costs(of, ready)]
            )
            notes += [f"{case}: {note}" for note in ready["notes"] if f"{case}: {note}" not in notes]
            if ready.get("apart"):
                notes.append(
                    f"{case}: with the same weights, the torch-geometric form's scores differ by at most {ready['apart']:.0e} of the largest"
                )
            if variant != "ensemble" and (cost := ratios(select(of, what="train"), variant, "ensemble", clock(of))):
                cost_ratios[variant] = cost
                against.append(
                    [
                        case,
                        variant,
                        *(
                            times(ratios(select(of, what=what), variant, "ensemble", field))
                            for what in ("train", "predict")
                            for field in ("cpu", "wall")
                        ),
                    ]
                )
        notes += [f"{case}: {miss['variant']}: {miss['why']}" for miss in select(of, what="missing")]
        for bound in select(of, what="roofline"):
            bounds.append(
                [
                    case,
                    *_roofline_row(bound, spread(s[clock(of)] for s in select(of, what="train", variant="ensemble"))),
                ]
            )
        if cost_ratios:
            drawn.append((case, cost_ratios))
    settings = select(mine, what="ready")[0]["settings"]
    out = [
        "## Side by side",
        "",
        f"On {settings['benchmark']}, {settings['budget']} labels, ensembles of {settings['members']} members. "
        + "; ".join(f"*{variant}*: {said}" for variant, said in VARIANTS.items())
        + ".",
        "",
    ]
    out += table(
        [
            "encoder",
            "recipe, batch",
            "variant",
            "step and member, CPU",
            "wall",
            "a trained member, extrapolated",
            "predicted / s",
            "peak memory (idle)",
            "in Python",
        ],
        rows,
    )
    if drawn:
        variants = [variant for variant in VARIANTS if any(variant in cost_ratios for _, cost_ratios in drawn)]
        figures[f"{name}-ratios.svg"] = as_file(ratio_figure(drawn, variants, "Against other variants").svg)
        out += [
            "How many times as long the other variants take as the ensemble, per step and member, and per predicted architecture:",
            "",
            f"![CPU seconds of other variants over those of the ensemble](figures/{name}-ratios.svg)",
            "",
        ]
        out += table(
            ["encoder", "variant", "training, CPU", "training, wall", "prediction, CPU", "prediction, wall"], against
        )
    if bounds:
        out += ["The ensemble and its roofline bound, per step and member:", ""]
        out += table(
            ["encoder", "operations", "matrix rate", "arithmetic", "bytes", "measured", "over the bound"], bounds
        )
    return out + [f"- {note}" for note in notes] + ([""] if notes else [])


def _variant(variant: str, members: int) -> str:
    return f"{variant} of {members}" if variant in WHOLE else variant


def _costs(of: Sequence[Sample], ready: Sample) -> list[str]:
    """Cells of one variant: step by CPU and by the clock, a trained member, predictions a second, memory, share of
    Python."""
    variant = ready["variant"]
    trained, predicted = select(of, what="train", variant=variant), select(of, what="predict", variant=variant)
    cpu, wall, score = (
        spread(s[field] for s in group)
        for group, field in ((trained, "cpu"), (trained, "wall"), (predicted, clock(of)))
    )
    measured = sum(s["measured"] for s in trained)
    whole = (
        f"{duration(wall.median * ready['steps'])} ({ready['steps']:,} steps, {measured:,} measured)" if wall else "–"
    )
    peak = max((s["peak"] for s in trained + predicted), default=0)
    share = select(of, what="python_share", variant=variant)
    return [
        duration(cpu.median if cpu else None),
        duration(wall.median if wall else None),
        whole,
        f"{three(1 / score.median)}" if score else "–",
        f"{megabytes(peak)} ({megabytes(ready['idle'])})",
        f"{100 * share[0]['share']:.0f} %" if share else "–",
    ]


def _roofline_row(bound: Sample, measured: Spread | None) -> list[str]:
    arithmetic, moved = roofline_seconds(bound, "step")
    over = "–" if measured is None else f"{measured.median / max(arithmetic, moved):.1f} times"
    return [
        f"{bound['step_flops'] / 1e9:.3g} G",
        f"{bound['flops_s'] / 1e9:.0f} G/s",
        duration(arithmetic),
        duration(moved),
        duration(measured.median if measured else None),
        over,
    ]


def _commands_timed(samples: Sequence[Sample]) -> list[str]:
    out: list[str] = []
    for case in distinct(select(samples, part="against"), lambda s: str(s["case"])):
        of = select(samples, part="against", case=case)
        runs = select(of, what="timed")
        ready = {s["variant"]: s for s in select(of, what="ready")}
        if not out:
            out = ["## Against other commands", "", "From start to exit, imports and loading included.", ""]
        rows = []
        for variant in distinct(runs, lambda s: str(s["variant"])):
            mine = select(runs, variant=variant)
            wall, cpu = spread(s["wall"] for s in mine), spread(s["cpu"] for s in mine)
            said = "archrank" if variant == "ensemble" else f"`{ready[variant]['other']}`"
            rows.append(
                [
                    said,
                    str(ready[variant]["members"]),
                    duration(wall.median if wall else None),
                    duration(cpu.median if cpu else None),
                    megabytes(max(s["peak"] for s in mine)),
                ]
            )
        out += [
            f"### {case.split(' against ')[0]}",
            "",
            *table(["command", "predictors trained", "wall", "CPU", "peak memory"], rows),
        ]
        each = ready["ensemble"]["members"] / ready["other"]["members"]
        for field in ("wall", "cpu"):
            if ratio := ratios(runs, "other", "ensemble", field):
                per = Spread(ratio.median * each, ratio.low * each, ratio.high * each, ratio.count)
                out += [f"- {field}: the command takes {times(ratio)} times as long, {times(per)} times per predictor"]
        out.append("")
    return out


# ---- growth ----


def _growth(samples: Sequence[Sample], figures: dict[str, bytes], name: str) -> list[str]:
    out: list[str] = []
    for part in [part for group in PARTS.values() for part in group]:
        of = select(samples, part=f"growth-{part.name}")
        if not select(of, what="size"):
            continue
        out += (
            [
                "## How cost grows",
                "",
                "Exponents: least squares of logarithms over the upper half of the range (sizes from the geometric mean of the "
                "smallest and the largest on), of CPU seconds (of wall seconds on a GPU).",
                "",
            ]
            if not out
            else []
        )
        lines, rows, said = [], [], []
        for case in distinct(of, lambda s: str(s["case"])):
            line, cells, sentences = _case_growth(select(of, case=case), part.name)
            lines += [line] if line else []
            rows += cells
            said += sentences
        out += [f"### {part.name.capitalize()}", "", f"Seconds are of one {part.cost}.", ""]
        if lines:
            file = f"{name}-{part.name}.svg"
            figures[file] = as_file(
                growth_figure(
                    lines, Palette([line.label for line in lines]), f"One {part.cost.split(' (')[0]}", part.of
                ).svg
            )
            out += [f"![seconds against {part.of}](figures/{file})", ""]
        out += [
            *said,
            "",
            *table([part.of, "encoder", "CPU", "wall", "arithmetic", "bytes", "over the bound", "peak memory"], rows),
        ]
    return out


def _case_growth(of: Sequence[Sample], part: str) -> tuple[Line | None, list[list[str]], list[str]]:
    """The drawn line, table rows and sentences of one encoder in one part."""
    label = str(of[0]["case"])
    sizes, costs, bounds, rows = [], [], [], []
    for size in sorted({s["size"] for s in select(of, what="size")}):
        runs = select(of, what="size", size=size)
        cpu, wall = spread(s["cpu"] for s in runs), spread(s["wall"] for s in runs)
        assert cpu is not None and wall is not None
        sizes.append(float(size))
        costs.append(cpu.median if clock(of) == "cpu" else wall.median)
        both: tuple[float, float] | None = None
        for bound in select(of, what="size roofline", size=size):
            both = roofline_seconds(bound, "score" if part == "space" else "step", bound["scale"])
            bounds.append(max(both))
        rows.append(
            [
                f"{size:,}",
                label,
                duration(cpu.median),
                duration(wall.median),
                *(map(duration, both) if both else ("–", "–")),
                f"{costs[-1] / max(both):.1f} times" if both else "–",
                megabytes(max(s["peak"] for s in runs)),
            ]
        )
    said = [f"- {label} at {miss['size']:,}: left out: {miss['why']}" for miss in select(of, what="left out")]
    fitted = growth(sizes, costs)
    if fitted:
        said.insert(
            0,
            f"- {label}: cost grows with the power **{fitted.exponent:.2f}** ({fitted.first:,.0f} to {fitted.last:,.0f}, {fitted.points} sizes)",
        )
    return (Line(label, tuple(sizes), tuple(costs), tuple(bounds)) if sizes else None), rows, said
