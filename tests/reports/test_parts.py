"""Parts of the report that can be wrong by themselves: placing of labels, rank percentiles, smoothness, text forms."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archrank.reports.blocks import Bold, Cell, Code, Column, Details, Section, Table, Text
from archrank.reports.cite import AUTHORS, TITLE, YEAR, bibtex
from archrank.reports.encodings import Encoded, principal, smoothness
from archrank.reports.figures.cost_map import Price, _front, pareto
from archrank.reports.figures.ranking import IntervalRow, Series, curves, forest
from archrank.reports.figures.truth import architecture
from archrank.reports.published import matching, published
from archrank.reports.renderers.csv import render_csv
from archrank.reports.renderers.text import render_markdown, render_tables
from archrank.reports.style import COLOURS, Palette, spread
from archrank.reports.svg import as_file
from archrank.reports.truth import Prediction, op_slopes, percentile, residual_by_depth
from archrank.reports.words import count, join, plural, rate, seconds


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the placing
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.2))
def test_labels_are_apart_in_range_and_in_order(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0.0, 1.0)
    fits = min(gap, 1 / max(len(wanted) - 1, 1))
    assert placed.min() >= -1e-9 and placed.max() <= 1 + 1e-9
    assert (np.diff(np.sort(placed)) >= fits - 1e-9).all()
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) > 0).all() or len(wanted) == 1


def test_labels_that_are_apart_stay_where_they_are() -> None:
    assert spread([0.2, 0.8, 0.5], 0.1, 0, 1) == pytest.approx([0.2, 0.8, 0.5])


def test_colours_follow_the_sorted_label_and_repeat_with_another_mark() -> None:
    labels = [f"e{i:02d}" for i in range(25)]
    palette = Palette(labels[::-1])
    assert [palette.colour(label) for label in labels[:10]] == [light for light, _ in COLOURS]
    looks = {(palette.colour(x), palette.mark(x)) for x in labels}
    assert len(looks) == 25


def test_a_long_label_loses_its_options_only_where_that_leaves_no_doubt() -> None:
    palette = Palette(
        ["flowerformer[dim=32,layers=3]", "canonical_path[longest=3]+gp", "canonical_path[longest=4]+gp", "gcn[dim=8]"]
    )
    assert (
        palette.name("flowerformer[dim=32,layers=3]") == "flowerformer[…]"
        and palette.name("gcn[dim=8]") == "gcn[dim=8]"
    )
    cut = palette.name("canonical_path[longest=3]+gp")
    assert cut == "canonical_path[long…" and len(cut) == 20


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read_on_their_ground() -> None:
    for light, dark in COLOURS:
        assert _contrast(light, "#fefefd") >= 3.6
        assert _contrast(dark, "#14171a") >= 5


def test_percentile_is_from_worst_to_best_with_ties_in_the_middle() -> None:
    assert percentile(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert percentile(np.array([1.0, 1.0, 5.0])).tolist() == [0.25, 0.25, 1.0]


def test_place_of_the_truly_best() -> None:
    true = np.linspace(0, 1, 101)
    perfect = Prediction("a", np.arange(101), np.zeros(101, int), true, true)
    assert perfect.place_of_best(0.01) == pytest.approx((0.0, 0.0))
    backward = Prediction("a", np.arange(101), np.zeros(101, int), true, true[::-1])
    assert backward.place_of_best(0.01) == pytest.approx((100.0, 100.0))


def test_residuals_find_the_depth_and_the_operation_that_were_over_rated(synthetic) -> None:
    table = synthetic.make_table("toy", 400)
    depth = np.where(table.mask, table.depth, 0).max(1)
    pools = ((table.ops == 3) & table.mask).sum(1)
    true = np.full(400, 0.4)
    index, seed = np.arange(400), np.zeros(400, int)
    by_depth = Prediction("a", index, seed, true, true + 0.02 * depth)
    by_pool = Prediction("b", index, seed, true, true + 0.03 * pools)
    depths, mean = residual_by_depth(table, {"a": by_depth})
    assert mean["a"] == pytest.approx(2.0 * depths)
    ops, slope = op_slopes(table, {"b": by_pool})
    assert "input" not in ops and "output" not in ops
    assert slope["b"][ops.index("pool")] == pytest.approx(3.0)


def test_smoothness_is_one_for_a_line_and_near_nothing_for_noise() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=80)
    line = Encoded("a", 0, np.arange(80), score[:, None] * np.ones(5), score)
    noise = Encoded("a", 0, np.arange(80), rng.normal(size=(80, 5)), score)
    same = Encoded("a", 0, np.arange(80), np.ones((80, 5)), score)
    assert smoothness(line) == pytest.approx(1.0)
    assert abs(smoothness(noise)) < 0.1
    assert np.isnan(smoothness(same))


def test_principal_components_keep_distances_of_flat_data_and_survive_one_dimension() -> None:
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 7))
    place, held = principal(flat)
    assert held == pytest.approx(1.0)
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert np.linalg.norm(place[:, None] - place[None], axis=-1) == pytest.approx(apart, abs=1e-9)
    assert principal(np.ones((10, 1)))[1] == 0.0
    assert principal(rng.normal(size=(10, 1)))[0].shape == (10, 2)


def test_pareto_front_has_no_beaten_point() -> None:
    points = [
        Price("slow good", 0.9, 0.9, 0.9, 100),
        Price("fast bad", 0.5, 0.5, 0.5, 1),
        Price("beaten", 0.4, 0.4, 0.4, 5),
    ]
    assert [p.label for p in _front(points, "low")] == ["fast bad", "slow good"]
    assert [p.label for p in _front(points, "high")] == ["slow good"]


def test_no_line_of_a_predictor_is_drawn_outside_its_marks() -> None:
    palette, ends = Palette(["a", "b"]), np.array([20.0, 78.0])
    series = [
        Series(label, ends, np.array([0.5, 0.6001]), np.array([0.4, 0.5]), np.array([0.6, 0.7])) for label in "ab"
    ]
    prices = [Price("a", 0.9, 0.9, 0.9, 100), Price("b", 0.9, 0.9, 0.9, 101)]
    for drawing in (curves(series, palette, "t"), pareto(prices, palette, "t", "x", cheap="low")):
        tree = ElementTree.fromstring(drawing.svg)
        marks = {
            id(inner) for group in tree.iter() if (group.get("class") or "").startswith("enc") for inner in group.iter()
        }
        for element in tree.iter():
            if any(palette.colour(label) in (element.get("style") or "") for label in "ab"):
                assert id(element) in marks, ElementTree.tostring(element)


def test_a_mark_says_what_it_is_on_a_page_and_not_in_a_file() -> None:
    label = '<b> & "q"'
    series = [Series(label, np.array([20.0]), np.array([0.5]), np.array([0.4]), np.array([0.6]))]
    svg = curves(series, Palette([label]), "t").svg
    tips = [element.get("data-tip") for element in ElementTree.fromstring(svg).iter() if element.get("data-tip")]
    assert tips == [f"{label}, 20 labels: 0.500 [0.400, 0.600]"]
    assert b"data-tip" not in as_file(svg)


def test_a_table_is_csv_with_the_ends_of_intervals_and_no_formulas() -> None:
    columns = (Column("a", "name", numeric=False), Column("v", "τ"))
    rows = (
        {"a": Cell("=1+1"), "v": Cell("0.50 [0.40, 0.60]", 0.5, low=0.4, high=0.6)},
        {"a": Cell("-0.5, x"), "v": Cell("–")},
    )
    actual = render_csv([Section("s", "S", [Details("d", (Table("t", "", columns, rows),))])])
    assert actual == {"tables/t.csv": 'name,τ,τ low,τ high\n\'=1+1,0.5,0.4,0.6\n"-0.5, x",–,,\n'.encode()}


def test_published_rows_are_primary_sourced_and_strict() -> None:
    rows = published()
    assert len(rows) > 100 and (rows["source"] != "").all() and rows["value"].between(-1, 1).all()
    assert set(matching("nasbench201", "tnasp", "cifar10_val")["paper"]) == {"PINAT (AAAI 2023)"}
    for protocol in ("clean", "", "nar"):
        assert matching("nasbench201", protocol, "cifar10_test").empty
    assert matching("nasbench201", "tnasp", "cifar100_test").empty


def test_an_architecture_is_drawn_with_all_its_operations() -> None:
    adj = np.zeros((4, 4), bool)
    adj[0, 1] = adj[0, 2] = adj[1, 3] = adj[2, 3] = True
    svg = architecture(["input", "conv <3>", "pool $x$", "output"], adj, [False] * 4, "Best & worst", "note").svg
    words = " ".join(ElementTree.fromstring(svg).itertext())
    for name in ("input", "conv <3>", "pool $x$", "output", "Best & worst"):
        assert name in words


def test_markdown_and_latex_escape() -> None:
    column = Column("a", "head_1", "up")
    table = Table("t", "50 % of #1", (column,), ({"a": Cell("x|y & _z_ <b>")},), paper=True)
    section = Section("s", "Title", [Text((Bold("**"), " a_b")), table, Code("```")])
    markdown = render_markdown("T", "S", [section], {})
    assert r"x\|y" in markdown and "&lt;b&gt;" in markdown and r"\_z\_" in markdown and "````sh\n```\n````" in markdown
    tex = render_tables([section])
    assert r"x|y \& \_z\_ \textless{}b\textgreater{} \\" in tex and r"50 \% of \#1" in tex
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 1


def test_words() -> None:
    assert [seconds(x) for x in (0.0123, 7.94, 300.0, 9000.0, float("nan"))] == [
        "12 ms",
        "7.94 s",
        "5 min",
        "2.5 h",
        "–",
    ]
    assert count(901587) == "901,587" and rate(18834.2) == "18,800" and rate(7.3) == "7" and rate(238.4e6) == "238 M"
    assert (
        join(["a"]) == "a"
        and join(["a", "b", "c"]) == "a, b and c"
        and join([str(i) for i in range(12)], 4) == "0, 1, 2 and 9 more"
    )
    assert plural(1, "seed") == "1 seed" and plural(2, "seed") == "2 seeds"


def test_citations_are_those_of_the_repository() -> None:
    text = (Path(__file__).resolve().parents[2] / "CITATION.cff").read_text()
    assert f'title: "{TITLE}"' in text and f"- name: {AUTHORS}" in text and f"date-released: {YEAR}-" in text
    assert bibtex().count("{") == bibtex().count("}") and "\n  author  = {{" in bibtex()


@pytest.mark.parametrize(
    ("letters", "shown"), [("ab", "ab"), ("".join(map(chr, range(97, 123))) * 9, "abcdefghijklmnopqrstuvw…")]
)
def test_intervals_keep_their_room_beside_long_names_and_many_letters(letters, shown):
    """Fifty predictors on three splits have names and tiers that are wider than the figure was."""
    labels = [f"a_long_name_of_an_encoder_{number}+boosting" for number in range(50)]
    rows = [IntervalRow(label, 0.5, 0.4, 0.6, letters, "0.500") for label in labels]
    root = ElementTree.fromstring(forest(rows, Palette(labels)).svg)
    width = float(root.attrib["width"].removesuffix("pt")) * 96 / 72
    assert 460 <= width < 800
    assert sum("".join(text.itertext()) == shown for text in root.iter("{http://www.w3.org/2000/svg}text")) == len(rows)
