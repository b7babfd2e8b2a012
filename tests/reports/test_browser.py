"""The page in a real browser: no console error, fits a phone, sorts and filters like the statistics do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archrank.eval.statistics import bootstrap, leaderboard, tiers
from archrank.eval.trials.results import read_results
from archrank.reports import build

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
def address(suite, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("page")
    build([suite.store], out, formats=("html",), load=suite.load)
    return (out / "report.html").as_uri()


def opened(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    return page, said


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_offline_without_a_word_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    page, said = opened(browser, address, width, scheme)
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) > 380) == (scheme == "light")


def rows(page: Any, key: str, view: int = 0) -> list[str]:
    """Visible cells of one column of a view of the first leaderboard."""
    return page.evaluate(
        """([key, view]) => { const table = document.querySelector(`.board .view[data-view="${view}"] table`);
        const at = [...table.tHead.rows[0].cells].findIndex((c) => c.dataset.k === key);
        return [...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => r.cells[at].innerText.trim()); }""",
        [key, view],
    )


def test_a_click_on_a_head_sorts(browser: Any, address: str) -> None:
    page, said = opened(browser, address)
    names = rows(page, "label")
    page.click('.board .view[data-view="0"] th[data-k="label"] button')
    assert rows(page, "label") == sorted(names)
    page.click('.board .view[data-view="0"] th[data-k="label"] button')
    assert rows(page, "label") == sorted(names, reverse=True)
    page.click('.board .view[data-view="0"] th[data-k="value"] button')
    values = [float(text.split()[0]) for text in rows(page, "value")]
    assert values == sorted(values, reverse=True)
    assert said == []


def test_views_show_one_budget(browser: Any, address: str, suite) -> None:
    page, said = opened(browser, address)
    page.get_by_role("button", name="78 labels", exact=True).click()
    shown = page.locator(".board .view:not([hidden])")
    assert shown.count() == 1
    frame = read_results([suite.store])
    expected = list(leaderboard(frame[frame["budget"] == 78])["label"])
    assert rows(page, "label", int(shown.get_attribute("data-view"))) == expected
    assert said == []


@pytest.mark.parametrize(
    "hidden", [["flowerformer"], ["dagnn", "adjacency"], ["parameter-count", "gcn", "path[kind=truncated]"]]
)
@pytest.mark.parametrize("view", [0, 1, 2])
def test_hiding_predictors_recomputes_as_the_statistics_do(
    browser: Any, address: str, suite, hidden: list[str], view: int
) -> None:
    page, said = opened(browser, address)
    whole = [rows(page, key, view) for key in ("rank", "tier", "win", "first")]
    page.click(".chooser summary")
    for label in hidden:
        page.locator(".choices label", has_text=label).first.click()
    frame = read_results([suite.store])
    frame = frame[frame["budget"] == 20] if view == 2 else frame
    scope = "auto" if view == 1 else "splits"
    left = [label for label in sorted(frame["label"].unique()) if label not in hidden]
    # Complete data: leaving labels out changes no cell, so the library's own numbers for the subset are the oracle.
    expected = tiers(bootstrap(frame, scope=scope), left)
    board = leaderboard(frame, labels=left, scope=scope)
    assert rows(page, "label", view) == list(expected)
    assert rows(page, "tier", view) == list(expected.values())
    spans = [f"{rank} [{low}–{high}]" for rank, low, high in zip(board["rank"], board["rank_low"], board["rank_high"])]
    assert rows(page, "rank", view) == spans
    wins = [float(text.split()[0]) / 100 for text in rows(page, "win", view)]
    assert wins == pytest.approx(list(board["win_rate"]), abs=0.0051)
    first = [float(text.split()[0]) / 100 for text in rows(page, "first", view)]
    assert first == pytest.approx(list(board["first"]), abs=0.08)  # 400 draws against 4,000
    drawn = page.evaluate("getComputedStyle(document.querySelector('svg .enc0')).display")
    assert (drawn == "none") == ("adjacency" in hidden)
    page.get_by_role("button", name="show all").click()
    assert [rows(page, key, view) for key in ("rank", "tier", "win", "first")] == whole
    assert said == []


def test_a_label_that_is_a_tag_stays_text(browser: Any, ragged, tmp_path: Path) -> None:
    build([ragged.store], tmp_path, formats=("html",), load=ragged.load)
    page, said = opened(browser, (tmp_path / "report.html").as_uri())
    assert said == []
    page.click(".chooser summary")
    assert "<script>alert(1)</script>" in page.locator(".choices").inner_text()
    page.locator(".choices label", has_text="<script>").first.click()
    assert "<script>alert(1)</script>" not in rows(page, "label")
