"""Releases whose official files are not at hand, made in their form and large enough to train on: `python -m
tests.datasets.made FOLDER 80 600`.

FOLDER is then a data folder with DeepNets-1M (80 networks of up to 600 nodes), NNLQP, NAS-Bench-ASR and the NATS size
space. Scores are invented, except DeepNets-1M's where LABELS, a folder with its two official label files, is given as a
fourth argument.
"""

import random
import shutil
import sys
from pathlib import Path

import numpy as np

from archrank.datasets.importers import deepnets1m, natsbench
from tests.datasets import test_made_releases as forms
from tests.datasets.test_nats_hw import size_info, write_release


def networks(folder, count, largest, labels=None):
    """DeepNets-1M: half of `count` networks for each part, chains of blocks with a connection around some, up to
    `largest` nodes."""
    draw = np.random.default_rng(0)

    def blocks(part, number, lengths, nodes):
        lengths[0, -1] = 50
        size = len(nodes)
        for u in range(1, size - 4):
            if draw.random() < 0.3:
                lengths[u, u + 3] = 1
        nodes[1:, 0] = draw.integers(1, len(forms.KINDS), size - 1)
        return lengths, nodes

    sizes = np.linspace(max(8, largest // 10), largest, count // 2).astype(int)
    forms.deepnets(folder / "deepnets1m", sizes.tolist(), blocks)
    for name in deepnets1m.LABELS.values() if labels else ():
        shutil.copy(Path(labels) / name, folder / "deepnets1m" / name)


def onnx(folder, count):
    """NNLQP: `count` networks of 4 to 20 operators in a row, each also reading an earlier one now and then."""
    draw = random.Random(0)
    (folder / "nnlqp" / "onnx").mkdir(parents=True)
    lines = []
    for number in range(count):
        steps, names = [], ["x"]
        for at in range(draw.randint(4, 20)):
            op = draw.choice(["Conv", "Relu", "Add", "MaxPool"])
            sources = (names[-1], draw.choice(names)) if op == "Add" else (names[-1],)
            names.append(f"t{at}")
            steps.append((op, (*sources, "w") if op == "Conv" else sources, (names[-1],)))
        (folder / "nnlqp" / "onnx" / f"n{number}.onnx").write_bytes(forms.onnx(steps, outputs=(names[-1],)))
        cost = sum(3 if op == "Conv" else 1 for op, *_ in steps)
        lines.append(f"{number} onnx/n{number}.onnx 1 {cost + draw.random()} made 23 train\n")
    (folder / "nnlqp" / "gt.txt").write_text("".join(lines))


def speech(folder, count):
    """NAS-Bench-ASR: `count` cells."""
    draw = random.Random(0)
    vectors = {
        tuple(draw.randint(0, 5) if at in (0, 2, 5) else draw.randint(0, 1) for at in range(9))
        for _ in range(4 * count)
    }
    shaped = [[[v[0], v[1]], [v[2], v[3], v[4]], [v[5], v[6], v[7], v[8]]] for v in sorted(vectors)[:count]]
    before, forms.VECTORS = forms.VECTORS, shaped
    try:
        forms.asr(folder / "nasbench_asr")
    finally:
        forms.VECTORS = before


def chains(folder, count):
    """NATS size space: `count` networks."""
    draw = random.Random(0)
    names = {":".join(str(draw.choice(natsbench.CHANNELS)) for _ in range(5)) for _ in range(4 * count)}
    write_release(
        folder / "natsbench" / natsbench.FOLDERS["size"],
        [size_info(name, shift=sum(map(int, name.split(":"))) / 50) for name in sorted(names)[:count]],
    )


def make(folder, count, largest, labels=None):
    """All of them below `folder`."""
    networks(folder, count, largest, labels)
    onnx(folder, count)
    speech(folder, count)
    chains(folder, count)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:5])
