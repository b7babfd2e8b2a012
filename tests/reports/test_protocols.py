"""One predictor under several protocols."""

import pandas as pd
import pytest

from archrank.cli import main
from archrank.reports.protocols import protocols_section
from archrank.reports.renderers.text import render_markdown


def frame(scores):
    rows = [
        {"label": label, "budget": 20, "protocol": protocol, "seed": seed, "kendall": score}
        for (label, protocol), values in scores.items()
        for seed, score in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(benchmark="digits101", target="accuracy", recipe="common")


def test_the_table_says_how_far_protocols_are_apart():
    scores = {("a", "clean"): [0.5, 0.7], ("a", "gates"): [0.7, 0.7], ("b", "gates"): [0.4]}
    section = protocols_section(frame(scores), ["clean", "gates"], "archrank protocols -e a,b")
    text = render_markdown("Protocols", section.title, [section], {})
    assert "| a | 20 | 0.600 ± 0.100 (2) | 0.700 ± 0.000 (2) | 0.100 |" in text
    assert "| b | 20 | not run | 0.400 (1) | 0.000 |" in text
    assert "moves a predictor by 0.000 to 0.100" in text and "archrank protocols -e a,b" in text
    assert "Lets nothing through" in text and "isomorphic duplicates" in text


def test_rows_go_by_the_first_protocol_and_pairs_that_change_places_are_counted():
    means = {"a": (0.5, 0.6, 0.9), "b": (0.7, 0.8, 0.8), "c": (0.6, 0.9, 0.7), "d": (0.4, 0.4, 0.4)}
    protocols = ["clean", "gates", "nar"]
    scores = {(label, name): [value] for label, values in means.items() for name, value in zip(protocols, values)}
    section = protocols_section(frame(scores), protocols, "archrank protocols")
    text = render_markdown("Protocols", section.title, [section], {})
    assert [line[2] for line in text.splitlines() if "| 20 |" in line] == ["b", "c", "a", "d"]
    assert "moves a predictor by 0.000 to 0.400, half of them by at least 0.200." in text
    assert "Of 6 pairs of predictors" in text and "1 under gates and 2 under nar (not tested)" in text


def test_the_command_trains_and_writes(tmp_path, capsys):
    page = tmp_path / "protocols.md"
    words = ["protocols", "-e", "parameters", "-b", "digits101", "--budgets", "20", "--seeds", "2", "--workers", "0"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--protocols", "clean,gates", "--store", str(tmp_path / "store"), "-o", str(page)])
    assert done.value.code == 0
    assert "| parameters | 20 |" in page.read_text()
