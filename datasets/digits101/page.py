"""The page and the figures that show digits101: `python -m archrank.datasets.digits101.page`.

Everything on the page is read from the table and its card; nothing is typed in.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archrank.datasets import load
from archrank.datasets.benchmark import Benchmark
from archrank.datasets.digits101.card import SCORES
from archrank.datasets.digits101.latency import BATCH
from archrank.datasets.nb101_cells import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT, NB101Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMMAND = "python -m archrank.datasets.digits101.page"
SHOWN = 3
LOOK = {
    INPUT: ("input", "#d9d9d9"),
    CONV1X1: ("conv 1×1", "#a6cee3"),
    CONV3X3: ("conv 3×3", "#5aa0d0"),
    MAXPOOL3X3: ("max pool", "#fdbf6f"),
    OUTPUT: ("output", "#d9d9d9"),
}
NAMES = {
    "parameters": "parameters",
    "flops": "FLOPs",
    "depth": "depth (longest path)",
    "edges": "edges",
    "conv3x3 count": "number of 3×3 convolutions",
    "latency_ms": "measured latency",
}


def write(benchmark: Benchmark, folder: Path) -> Path:
    """Write `<name>.md` and `figures/<name>/*.svg` into a documentation folder; returns the page's path."""
    figures = folder / "figures" / benchmark.name
    figures.mkdir(parents=True, exist_ok=True)
    order = np.argsort(-benchmark.target(), kind="stable")
    _save(_distribution(benchmark), figures / "distribution.svg")
    _save(_gallery(benchmark, order[:SHOWN]), figures / "best.svg")
    _save(_gallery(benchmark, order[::-1][:SHOWN]), figures / "worst.svg")
    path = folder / f"{benchmark.name}.md"
    path.write_text(text(benchmark), encoding="utf-8")
    return path


def cell_of(benchmark: Benchmark, row: int) -> NB101Cell:
    """The cell in one row of a table of NAS-Bench-101 cells."""
    real = benchmark.mask[row]
    return NB101Cell.from_matrix(benchmark.adj[row][np.ix_(real, real)], benchmark.ops[row][real].tolist())


def text(benchmark: Benchmark) -> str:
    """The page in Markdown."""
    card = benchmark.card.as_dict()
    made = card["made"]
    cells, task, recipe = card["cells"], card["task"], card["recipe"]
    seeds = len(card["metrics"]["test_accuracy"]["repeats"])
    figures = f"figures/{benchmark.name}"
    sizes = ", ".join(f"{cells[f'vertices_{v}']:,} with {v}" for v in range(2, 8) if f"vertices_{v}" in cells)
    partial = (
        f"\n**This is a part of the benchmark: {cells['trained']:,} of {cells['planned']:,} cells are trained so far**, a random "
        "sample of them (cells are trained in a shuffled order). "
        f"`archrank data build {benchmark.name}` trains them all.\n"
        if card["partial"]
        else ""
    )
    quantiles = card["quantiles"]
    ceiling, baselines = card["noise_ceiling"]["test_accuracy"], card["baselines"]
    widths = " and ".join(str(width) for width in recipe["skeleton"]["widths"])
    return f"""# {benchmark.name}: a benchmark whose every score was really trained

<!-- Written by `{COMMAND}` from the table and its card. Do not edit: change datasets/digits101/page.py. -->

{len(benchmark):,} cells of the NAS-Bench-101 search space, each trained {seeds} times on scikit-learn's handwritten digits. It
ships inside the package: `archrank.load("{benchmark.name}")`. Every number on this page comes from the table and its card, by
`{COMMAND}`.
{partial}
## What it is

| | |
|---|---|
| cells | {len(benchmark):,} ({sizes} vertices), named by the official NAS-Bench-101 module hash, no two isomorphic |
| drawn from | all cells up to 5 vertices, seeded samples with 6 and 7 vertices |
| task | {task["classes"]} digits, {task["image_size"]} × {task["image_size"]} pixels: {task["train"]} images to train, \
{task["validation"]} validation, {task["test"]} test |
| network | 3×3 stem with stride {recipe["skeleton"]["stem_stride"]}, cell, max pool, cell, mean, linear; {widths} channels |
| training | {recipe["epochs"]} epochs, batches of {recipe["batch"]}, SGD with Nesterov momentum {recipe["momentum"]}, \
learning rate {recipe["learning_rate"]} (warm-up, cosine), weight decay {recipe["weight_decay"]} |
| jitter | a digit stays or moves one pixel up, down, left or right, Gaussian weights ({recipe["jitter"]} pixel); scores are \
exact expectations over it |
| failed trainings | {len(cells["failed"])} |
| made with | {made["core_seconds"]:,} CPU seconds; {_devices(made)}; torch {made["torch"]}, NumPy {made["numpy"]}, \
scikit-learn {made["scikit_learn"]}, Python {made["python"]} |
| licence | {card["licence"]} |

Columns: {", ".join(f"`{name}`" for name in card["metrics"])}; the {seeds} trainings behind a mean are `test_accuracy/0` and so on.
`latency_ms` is the time for {BATCH} images on one thread of one CPU: the order of cells is what it is for, not the milliseconds.

## How good it is

| metric | reliability | noise ceiling | distinct means |
|---|---|---|---|
{_quality(card)}

*Reliability*: Kendall tau between the means of two disjoint halves of the seeds, over all halvings (for latency: between two
sets of passes). *Noise ceiling*: tau between one seed and the mean of the others, what ranking by another training of the same cells gives; the mean of all seeds, which
is what predictors are tested on, is steadier, and the ceiling that a report draws is the higher one for that mean. *Distinct*: share of different values among the means.
Many ties are avoided by the unequal weights of the jitter, not by more test images: differences far below the spread between
seeds are noise, and the reliability says how much of the order is real.

![Distribution of the mean test accuracy and the spread between seeds]({figures}/distribution.svg)

Mean test accuracy: {_quantiles(quantiles)}.

## What a single number of the architecture already ranks

Every encoder has to beat these (Kendall tau over the whole table; between one seed and the mean of the others it is {ceiling:.3f}):

| ranked by | test accuracy | latency |
|---|---|---|
{_baselines(baselines)}

## Best and worst cells

The best {SHOWN}:

![The best cells]({figures}/best.svg)

The worst {SHOWN}:

![The worst cells]({figures}/worst.svg)

## Check it, rebuild it

```
archrank data build {benchmark.name} --cells 20 --verify     # retrain 20 random cells and compare with the shipped table
archrank data build {benchmark.name} --workers 2             # the whole table again (resumable at any moment)
archrank data build {benchmark.name} --device cuda           # many cells side by side in one program
```

A cell with its list of seeds is reproduced bit for bit on the same processor type and software with one thread; elsewhere, or
with another number of seeds side by side, summation order differs and scores agree within the spread between seeds. `--verify`
knows which of the two to expect.

## Another task

A task is an object with images and labels. For instance, whether a digit is odd:

```python
from pathlib import Path
from sklearn.datasets import load_digits
from archrank.datasets.digits101.builder import BuildPlan, digits101_cells, run
from archrank.datasets.digits101.card import assemble
from archrank.datasets.digits101.task import DigitsTask

data = load_digits()
task = DigitsTask.split("odd-or-even", data.images / 16, data.target % 2, train=500, validation=250)
plan = BuildPlan(task, digits101_cells(1000), seeds=6)
folder = Path("results/odd-or-even-build")
run(plan, folder)                                            # resumable; BuildPlan(..., workers=2) uses two processes
assemble(plan, folder, "odd-or-even", "Odd or even digits")  # odd-or-even.parquet and .json, a benchmark like any other
```

On several processes, call it from a script under `if __name__ == "__main__":`.
"""


def _quality(card: dict[str, Any]) -> str:
    rows = []
    for metric in (*SCORES, "latency_ms"):
        values = [card[fact].get(metric) for fact in ("reliability", "noise_ceiling", "distinct")]
        shown = ["" if value is None else f"{value:.3f}" for value in values[:2]]
        rows.append(f"| `{metric}` | {' | '.join(shown)} | {'' if values[2] is None else f'{100 * values[2]:.1f} %'} |")
    return "\n".join(rows)


def _baselines(baselines: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:+.3f}"

    accuracy, latency = baselines["kendall_tau"], baselines["kendall_tau_of_latency"]
    return "\n".join(f"| {NAMES[key]} | {shown(accuracy[key])} | {shown(latency.get(key))} |" for key in accuracy)


def _quantiles(quantiles: dict[str, float]) -> str:
    ends = {"0 %": "lowest", "50 %": "median", "100 %": "highest"}
    return ", ".join(f"{ends.get(key, key)} {value:.3f}" for key, value in quantiles.items())


def _devices(made: dict[str, Any]) -> str:
    places = {"cpu": f"one thread each of {made['processor']} ({made['instructions']})"}
    return "; ".join(f"{count:,} cells on {places.get(name, name)}" for name, count in made["cells_by_device"].items())


def _distribution(benchmark: Benchmark) -> Figure:
    from matplotlib.figure import Figure

    accuracy, repeats = benchmark.target(), benchmark.repeats("test_accuracy")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(accuracy, bins=np.arange(0, 1.0001, 0.0125), color="#5aa0d0")
    left.set(xlim=(accuracy.min() - 0.02, accuracy.max() + 0.02), xlabel="mean test accuracy", ylabel="cells")
    if repeats is not None and repeats.shape[1] > 1 and len(accuracy) >= 20:
        groups = np.array_split(np.argsort(accuracy), 20)
        right.plot(
            [accuracy[g].mean() for g in groups],
            [repeats[g].std(1, ddof=1).mean() for g in groups],
            "o-",
            color="#5aa0d0",
        )
        right.set(
            xlabel="mean test accuracy (twentieths of the cells)",
            ylabel="standard deviation between seeds",
            ylim=(0, None),
        )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _gallery(benchmark: Benchmark, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    accuracy = benchmark.target()
    for axes, row in zip(figure.subplots(1, SHOWN, squeeze=False)[0], rows.tolist(), strict=False):
        draw(axes, cell_of(benchmark, row))
        parameters = int(benchmark.scores["parameters"].iloc[row])
        axes.set_title(f"{str(benchmark.arch[row])[:8]}: {accuracy[row]:.3f}, {parameters:,} parameters", fontsize=9)
    return figure


def draw(axes: Axes, cell: NB101Cell) -> None:
    """Draw a cell on matplotlib axes: data flows from top to bottom, one row for each depth (longest path from the
    input)."""
    count = len(cell.ops)
    depth = [0] * count
    for u, v in sorted(cell.edges, key=lambda edge: edge[1]):
        depth[v] = max(depth[v], depth[u] + 1)
    rows = [[v for v in range(count) if depth[v] == level] for level in range(max(depth) + 1)]
    place = {v: (i - (len(row) - 1) / 2, float(-y)) for y, row in enumerate(rows) for i, v in enumerate(row)}
    for number, (u, v) in enumerate(cell.edges):
        # An edge over several rows is bent, or it would run through the vertices between.
        bend = 0.0 if depth[v] - depth[u] == 1 else (0.45 if number % 2 else -0.45)
        style = {
            "arrowstyle": "-|>",
            "color": "#666666",
            "shrinkA": 9,
            "shrinkB": 9,
            "connectionstyle": f"arc3,rad={bend}",
        }
        axes.annotate("", place[v], place[u], arrowprops=style)
    for v, (x, y) in place.items():
        label, colour = LOOK[cell.ops[v]]
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#333333", "linewidth": 0.6}
        axes.text(x, y, label, ha="center", va="center", fontsize=8, bbox=box)
    axes.set(xlim=(-1.7, 1.7), ylim=(-max(depth) - 0.4, 0.4))
    axes.axis("off")


def _save(figure: Figure, path: Path) -> None:
    import matplotlib

    # A fixed salt and no date: the same table gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Command line: which benchmark, into which folder."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Write the page and figures of a built benchmark.")
    parser.add_argument("--benchmark", default="digits101", help="name of a benchmark, or the path of its card")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="documentation folder")
    arguments = parser.parse_args()
    write(load(arguments.benchmark), arguments.docs)


if __name__ == "__main__":
    main()
