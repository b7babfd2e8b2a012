"""What the key findings say, and what they must not."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from archrank.eval.statistics import LEFT_OUT
from archrank.reports import build
from archrank.reports.sections.findings import _per_view, baselines, beyond, headline
from archrank.reports.study import make_group


def test_the_findings_name_the_better_one_and_say_no_significant_difference_for_equals(
    make, sections, tmp_path: Path
) -> None:
    sections("findings")
    clear = make((("toy-a", "toy"),), encoders={"good": ("GNN", 0.4), "bad": ("GNN", 1.5)}, budgets=(78,), seeds=5)
    build([clear.store], tmp_path, formats=("md",), load=clear.load)
    assert (
        "**good ranks first** on this benchmark: significantly better than all others"
        in (tmp_path / "report.md").read_text()
    )
    equal = make((("toy-a", "toy"),), encoders={"one": ("GNN", 0.8), "two": ("GNN", 0.8)}, budgets=(78,), seeds=3)
    build([equal.store], tmp_path, formats=("md",), load=equal.load)
    text = (tmp_path / "report.md").read_text()
    assert (
        "**No significant difference** on this benchmark between any two of 2 predictors" in text
        and "ranks first" not in text.split("## 2")[0]
    )


def test_the_findings_say_who_is_no_better_than_a_baseline(make, sections, tmp_path: Path) -> None:
    sections("findings")
    encoders = {"good": ("GNN", 0.4), "count": ("baseline", 1.0), "bad": ("GNN", 1.9)}
    made = make((("toy-a", "toy"),), encoders=encoders, budgets=(78,), seeds=5)
    build([made.store], tmp_path, formats=("md",), load=made.load)
    said = next(line for line in (tmp_path / "report.md").read_text().splitlines() if "Baseline count" in line)
    assert (
        re.search(r"1 of 2 others is significantly better; significantly worse: bad \([-−]", said)
        and "good" not in said
    )


def trials_of(taus: dict[str, tuple[float, ...]], spaces: tuple[str, ...] = ("u",)) -> pd.DataFrame:
    """One task per space at one budget: the taus of the seeds by label, in every space a little better for the first
    label."""
    rows = [
        {
            "label": label,
            "family": "baseline" if label == "count" else "GNN",
            "status": "done",
            "space": space,
            "benchmark": space,
            "target": "t",
        }
        | {"protocol": "clean", "recipe": "common", "budget": 78, "seed": seed, "split": f"{space}{seed}", "test": 1000}
        | {"kendall": tau + 0.001 * number * (label == next(iter(taus)))}
        for number, space in enumerate(spaces)
        for label, values in taus.items()
        for seed, tau in enumerate(values)
    ]
    return pd.DataFrame(rows)


def words(parts: tuple[Any, ...]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def test_whom_only_one_pair_alone_sets_apart_does_not_beat_a_baseline() -> None:
    frame = trials_of({"a": (0.57, 0.60, 0.63), "b": (0.565, 0.63, 0.61), "count": (0.5, 0.5, 0.5)})
    view = make_group("clean", "common", frame).views[0]
    assert not view.comparison("a", "count").difference.covers(0) and not view.comparison("a", "count").significant
    said = words(baselines(SimpleNamespace(frame=frame), view)[0])
    assert (
        "none of 2 others are significantly better; no significant difference once all pairs are tested (Holm; each interval is its pair's own): "
        in said
        and "worse" not in said
    )
    assert "No significant difference on this benchmark between any two of 3 predictors" in words(headline(view))


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ((0.60, 0.602, 0.601), "It holds over search spaces on average"),
        ((0.1, 0.6, 1.0), "which the splits of these benchmarks alone do not show"),
    ],
)
def test_it_holds_on_average_only_where_the_same_one_ranks_first_here(first: tuple[float, ...], said: str) -> None:
    group = make_group("clean", "common", trials_of({"a": first, "b": (0.5, 0.5, 0.5)}, ("u", "v", "w", "x", "y")))
    assert said in words(beyond(group.views[0], group.here))


def test_who_ranks_first_at_each_budget_is_said_of_these_benchmarks() -> None:
    spread = (-0.01, 0.0, 0.012, 0.004)
    parts = [trials_of({"a": tuple(a + x for x in spread), "b": tuple(0.5 - x for x in spread)}, ("u", "v")).assign(budget=budget)
             for a, budget in ((0.7, 390), (0.5, 78))]  # fmt: skip
    group = make_group("clean", "common", pd.concat(parts))
    assert [(view.id, view.scope) for view in group.views if view.id.startswith("b")] == [
        ("b78", "splits"),
        ("b390", "splits"),
    ]
    few, many = (words(part) for part in _per_view(group, "b", "At"))
    assert few.startswith("At 78 labels a has the highest mean (τ 0.50") and "no significant difference from b." in few
    assert many.startswith("At 390 labels a ranks first: τ 0.70") and "+0.20" in many and "over b." in many


def test_means_say_which_budgets_dropped_out() -> None:
    full = pd.concat(
        [trials_of({"a": (0.6, 0.61, 0.62), "b": (0.5, 0.52, 0.51)}).assign(budget=budget) for budget in (20, 78)]
    )
    assert make_group("clean", "common", full).here.over == "all budgets and benchmarks"
    for failed, more in (({0, 1, 2}, False), ({0, 1}, True)):
        lost = full.assign(
            kendall=full["kendall"].where(
                ~((full["label"] == "b") & (full["budget"] == 20) & full["seed"].isin(failed))
            )
        )
        view = make_group("clean", "common", lost).here
        assert view.over == view.title == "78 labels, all benchmarks"
        assert any(note.startswith(LEFT_OUT) for note in view.boot.notes) is more


@pytest.mark.parametrize("spaces", [1, 2])
def test_one_seed_claims_nothing(make, sections, tmp_path: Path, spaces: int) -> None:
    sections("findings")
    encoders = {"good": ("GNN", 0.3), "bad": ("GNN", 1.9), "count": ("baseline", 1.9)}
    single = make((("toy-a", "toy"), ("other", "other"))[:spaces], encoders=encoders, budgets=(78,), seeds=1)
    build([single.store], tmp_path, formats=("md",), load=single.load)
    said = (tmp_path / "report.md").read_text().split("## 2.")[0].replace("one split cannot tell who is better.", "")
    assert ("one split cannot tell any two of 3 predictors apart" in said) and "Baseline count" in said
    assert not re.search(r"ranks first|significantly better than (?!none)|holds over|generalise", said)
