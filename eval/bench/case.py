"""What is measured, and in which variants. No torch here: the process that arranges the measuring stays small."""

from __future__ import annotations

from dataclasses import dataclass

# Name -> what it is, as tables say it.
VARIANTS: dict[str, str] = {
    "ensemble": "all members as one program",
    "eager": "the ensemble on a GPU without captured steps, operation after operation",
    "compiled": "the ensemble with its steps compiled (`archrank run --compile`); building the programs is not counted",
    "alone": "one member by itself, an ensemble of one",
    "loop": "the same stacked members one after another within each step (`fit(one_program=False)`)",
    "official": "one member by its official code, from a checkout (`--against FOLDER`)",
    "torch-geometric": "one member at a time, torch-geometric's `DataLoader` and layers",
}
# Variants that train all members of a case, not one.
WHOLE = ("ensemble", "eager", "compiled", "loop")
# Ways that a pre-training has: archrank's own, and its official code.
PRETRAINED = ("ensemble", "official")


@dataclass(frozen=True)
class Case:
    """One predictor under one recipe with so many labels; `members` of them (seeds 0, 1, ...) make the ensemble.

    nodes: random graphs of so many nodes stand for the benchmark. cells: so many NAS-Bench-101-sized random cells do.
    batch: in place of the recipe's. predicted: how many architectures are predicted (at most). pretraining: steps are
    those of a fixed encoding's pre-training, of one network.
    """

    encoder: str
    benchmark: str = "nasbench201"
    recipe: str = "paper"
    budget: int = 78
    members: int = 9
    batch: int | None = None
    device: str = "cpu"
    predicted: int = 1000
    nodes: int = 0
    cells: int = 0
    pretraining: bool = False
