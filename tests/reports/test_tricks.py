"""The section on what a pretext, a side input or a source table is worth."""

import pytest

from archrank.reports.sections.tricks import difference, tricks, tricks_section
from archrank.reports.study import read_study

ENCODERS = {
    "gin": ("GNN", 1.2),
    "gin[pretext=counts]": ("GNN", 0.6),
    "gin[side=base]": ("GNN", 0.7),
    "gin[pretext=counts,side=base]": ("GNN", 0.55),
    "gcn[pretext=counts]": ("GNN", 1.2),
}


@pytest.fixture(scope="module")
def study(make):
    made = make([("toy-a", "toy")], encoders=ENCODERS, budgets=(20, 78), seeds=6, predictions=False)
    return read_study([made.store], load=made.load)


def test_pairs_differ_in_one_addition(study):
    actual = tricks(list(study.records.values()), sorted(ENCODERS))
    assert {(one.with_, one.without, one.given) for one in actual} == {
        ("gin[pretext=counts]", "gin", ""),
        ("gin[side=base]", "gin", ""),
        ("gin[pretext=counts,side=base]", "gin[side=base]", "side=base"),
        ("gin[pretext=counts,side=base]", "gin[pretext=counts]", "pretext=counts"),
    }
    assert {one.what for one in actual} == {"pretext=counts", "side=base"}


def test_the_section_gives_the_gain_with_its_sign_and_interval(study):
    section = tricks_section(study)
    [table] = [block for block in section.blocks if hasattr(block, "rows")]
    view = study.groups[0].here
    for trick, row in zip(tricks(list(study.records.values()), view.order), table.rows):
        mean = study.groups[0].frame.groupby("label")["kendall"].mean()
        _, gain = difference(view, trick)
        assert gain.estimate == pytest.approx(mean[trick.with_] - mean[trick.without], abs=1e-9)
        assert gain.low <= gain.estimate <= gain.high and row["v0"].sort == gain.estimate
    said = " ".join(str(part) for block in section.blocks for part in getattr(block, "parts", ()))
    assert "significant gains" in said and "pretext=counts (gin, +" in said


def test_without_additions_there_is_no_section(make):
    made = make(
        [("toy-a", "toy")], encoders={"gin": ("GNN", 1.0), "gcn": ("GNN", 1.1)}, budgets=(20,), predictions=False
    )
    assert tricks_section(read_study([made.store], load=made.load)) is None
