"""The page in a real browser: no console error, fits a phone, sorts and filters like the statistics do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from archrank.eval.statistics import bootstrap, compare_each, leaderboard, rounded, tiers
from archrank.eval.statistics.tiers import letters
from archrank.eval.trials.results import read_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: the page is not tried in a browser"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as run:
        opened = run.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(built: Path) -> str:
    return (built / "report.html").as_uri()


def opened(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    return page, said


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_opens_offline_without_a_word_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    page, said = opened(browser, address, width, scheme)
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    under_a_dot = """[...document.querySelectorAll("td .dot + .name")].filter((name) => name.getClientRects().length
        && name.getClientRects()[0].left < name.previousElementSibling.getBoundingClientRect().right).length"""
    assert page.evaluate(under_a_dot) == 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) > 380) == (scheme == "light")


def rows(page: Any, key: str) -> list[str]:
    """Visible cells of one column of the first leaderboard."""
    return page.evaluate(
        """(key) => { const table = document.querySelector(".board table");
        const at = [...table.tHead.rows[0].cells].findIndex((c) => c.dataset.k === key);
        return [...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => r.cells[at].innerText.trim()); }""",
        key,
    )


def test_a_click_on_a_head_sorts_and_a_table_saves_itself(browser: Any, address: str) -> None:
    page, said = opened(browser, address)
    names = rows(page, "label")
    page.click('.board th[data-k="label"] button')
    assert rows(page, "label") == sorted(names)
    page.click('.board th[data-k="label"] button')
    assert rows(page, "label") == sorted(names, reverse=True)
    page.click('.board th[data-k="value"] button')
    values = [float(text.split()[0]) for text in rows(page, "value")]
    assert values == sorted(values, reverse=True)
    text = page.evaluate("Tables.csv(document.querySelector('.board table'))").splitlines()
    assert (
        text[0].startswith("rank,predictor,Kendall τ,Kendall τ low,Kendall τ high,tier") and len(text) == len(names) + 1
    )
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every((t) => t.closest('.tablebox').querySelector('.csv'))"
    )
    page.hover(".matrix td.best")
    assert "highest mean" in page.locator("#tip").inner_text() and "[" in page.locator("#tip").inner_text()
    assert said == []


CHOICES = [
    ({"hide": ["flowerformer"]}, {}),
    ({"hide": ["parameter-count", "gcn", "path[kind=truncated]"], "scope": "spaces"}, {}),
    ({"metric": "spearman", "budget": "78"}, {"budget": 78}),
    ({"metric": "p@10%", "benchmark": "other/accuracy", "hide": ["dagnn", "adjacency"]}, {"benchmark": "other"}),
]


@pytest.mark.parametrize(("choice", "only"), CHOICES)
def test_what_a_reader_chooses_is_computed_as_the_statistics_do(
    browser: Any, address: str, suite, choice: dict[str, Any], only: dict[str, Any]
) -> None:
    state = {
        key: ",".join(map(quote, value)) if key == "hide" else quote(value, safe="") for key, value in choice.items()
    }
    page, said = opened(browser, f"{address}#leaderboard?{'&'.join(f'{key}={value}' for key, value in state.items())}")
    frame = read_results([suite.store])
    for column, value in only.items():
        frame = frame[frame[column] == value]
    metric, scope = choice.get("metric", "kendall"), "spaces" if "scope" in choice else "splits"
    left = [label for label in sorted(frame["label"].unique()) if label not in choice.get("hide", [])]
    # Complete data: leaving labels out changes no setting, so the library's own numbers for the subset are the oracle.
    result = bootstrap(frame, metric, scope=scope)
    expected, board = tiers(result, left), leaderboard(frame, metric, labels=left, scope=scope)
    assert rows(page, "label") == list(expected)
    assert rows(page, "tier") == list(expected.values())
    assert rows(page, "value") == [rounded(result.value(label)) for label in expected]
    spans = [f"{rank} [{low}–{high}]" for rank, low, high in zip(board["rank"], board["rank_low"], board["rank_high"])]
    assert rows(page, "rank") == spans
    wins = [float(text.split()[0]) / 100 for text in rows(page, "win")]
    assert wins == pytest.approx(list(board["win_rate"]), abs=0.0051)
    first = [float(text.split()[0]) / 100 for text in rows(page, "first")]
    assert first == pytest.approx(list(board["first"]), abs=0.05)  # 2,000 draws against 4,000
    hidden = page.evaluate("getComputedStyle(document.querySelector('svg .enc0')).display")
    assert (hidden == "none") == ("adjacency" in choice.get("hide", []))
    matrix = page.evaluate("document.querySelectorAll('.matrix tbody tr').length")
    assert matrix == len(left) and said == []
    page.locator(".board .tools button").click()
    assert len(rows(page, "label")) == 6 and "?" not in page.url


@pytest.mark.parametrize(("count", "chance"), [(9, 0.3), (12, 0.6), (60, 0.0), (60, 0.5)])
def test_letters_of_the_page_are_those_of_the_statistics(browser: Any, address: str, count: int, chance: float) -> None:
    relation = np.triu(np.random.default_rng(count).random((count, count)) < chance, 1)
    relation |= relation.T
    page, said = opened(browser, address)
    marks = "(far) => { const order = far.map((_, i) => i); return [...Stats.letters(order, (i, j) => far[i][j]).values()]; }"
    assert page.evaluate(marks, relation.tolist()) == letters(relation) and said == []


def test_two_predictors_setting_by_setting(browser: Any, address: str, suite) -> None:
    page, said = opened(browser, f"{address}#pairwise?a=gcn&b=adjacency")
    cells = page.evaluate(
        "[...document.querySelectorAll('.duel tbody tr')].flatMap((r) => [...r.cells].slice(1).map((c) => [c.innerText, !c.classList.contains('tie')]))"
    )
    expected = compare_each(read_results([suite.store]), "gcn", "adjacency")
    assert [text for text, _ in cells] == [rounded(one.difference, signed=True) for one in expected]
    assert [sure for _, sure in cells] == [one.significant for one in expected]
    assert len(cells) == 6 and said == []


def test_one_benchmark_and_three_predictors_at_a_time(browser: Any, address: str) -> None:
    page, said = opened(browser, f"{address}#density-0")
    shown = "[...document.querySelectorAll('#errors figure[data-pick] .panel')].filter((p) => p.offsetParent).length"
    assert page.locator("#density-0").is_visible() and not page.locator("#density-1").is_visible()
    assert page.evaluate(shown) == 3
    page.locator("#errors-by-benchmark > .controls select").select_option("toy-a/accuracy")
    assert page.locator("#density-1").is_visible() and not page.locator("#density-0").is_visible()
    assert page.evaluate(shown) == 3 and said == []


def test_names_break_between_words_alone_on_a_phone(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, 390)
    broken = page.evaluate(
        """() => { const out = [], walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) { const node = walk.currentNode; if (!node.parentElement.offsetParent || node.parentElement.closest("svg,script")) continue;
          for (const word of node.data.matchAll(/[A-Za-z]{3,}/g)) { const range = document.createRange();
            range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) out.push(word[0]); } }
        return out; }"""
    )
    assert broken == []


def test_a_label_that_is_a_tag_stays_text(browser: Any, ragged_built: Path) -> None:
    page, said = opened(browser, (ragged_built / "report.html").as_uri())
    assert said == []
    page.click(".chooser summary")
    assert "<script>alert(1)</script>" in page.locator(".choices").inner_text()
    page.locator(".choices label", has_text="<script>").first.click()
    assert "<script>alert(1)</script>" not in rows(page, "label")
