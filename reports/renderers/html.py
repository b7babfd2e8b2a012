"""The report as one HTML file that needs nothing else: styles, scripts and drawings are inside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from archrank.datasets.io.visible import visible
from archrank.reports.blocks import Inline, Leaderboard, Link, Panel, Section, Table, walk
from archrank.reports.study import MAIN
from archrank.reports.style import VARIABLES, Palette, css_variables
from archrank.reports.svg import inlined

__all__ = ["render_html"]

SCRIPTS = ("stats.js", "table.js", "page.js")


def render_html(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    palette: Palette,
    kicker: str = "archrank report",
    pages: Sequence[Link] = (),
) -> str:
    """The page. kicker: the small line above the title. pages: others of the same site, which the navigation names."""
    environment = Environment(
        loader=PackageLoader("archrank.reports", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counter = iter(range(1_000_000))

    def drawing(panel: Panel) -> Markup:
        # The SVG comes from matplotlib, which escapes its texts; only the alternative text is inserted here.
        return Markup(inlined(panel.picture.svg, f"g{next(counter)}", str(escape(visible(panel.alt))), VARIABLES))

    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    environment.filters["inline_kind"] = _inline_kind
    environment.filters["breakable"] = _breakable
    environment.filters["place_of"] = _place
    environment.filters["lines"] = lambda text: Markup("\n").join(map(_breakable, text.split("\n")))
    environment.filters["bars"] = _bars
    environment.filters["place"] = lambda label: palette.place.get(label, -1)
    light, dark = css_variables()
    source = environment.loader
    assert source is not None
    style = source.get_source(environment, "page.css")[0].replace("/*light*/", light).replace("/*dark*/", dark)
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        drawing=drawing,
        kicker=kicker,
        pages=pages,
        style=Markup(style),
        scripts=[Markup(source.get_source(environment, name)[0]) for name in SCRIPTS],
        data=Markup(_script_json(_data(sections, palette))),
    )


def _inline_kind(part: Inline) -> str:
    return "plain" if isinstance(part, str) else type(part).__name__.lower()


def _place(to: str) -> str:
    """Where a link leads: to another page of the site, or inside this one."""
    return to if re.fullmatch(r"[a-z0-9-]+\.html", to) else f"#{to}"


def _breakable(text: str) -> Markup:
    """Text whose names may break after their brackets, commas and underscores, and nowhere inside a word."""
    parts = re.split(r"(?<=[\w\])][,+_/=])(?=[^\W\d])|(?<=\w\[)", visible(text))
    return Markup("<wbr>").join(parts)


def _bars(table: Table) -> tuple[float, float] | None:
    """What the interval bars of a table span: all its intervals."""
    cells = [row["value"] for row in table.rows if "value" in row and row["value"].low is not None]
    ends = [(cell.low, cell.high) for cell in cells if cell.low is not None and cell.high is not None]
    low, high = min((e[0] for e in ends), default=0.0), max((e[1] for e in ends), default=0.0)
    return (low, high) if high > low else None


def _data(sections: Sequence[Section], palette: Palette) -> dict[str, Any]:
    """What the scripts compute from: the values of every leaderboard's trials, and the place of every label."""
    boards = {
        block.id: block.data
        for section in sections
        for block in walk(section.blocks)
        if isinstance(block, Leaderboard) and block.data
    }
    labels = sorted(palette.place, key=lambda label: palette.place[label])
    return {"labels": labels, "main": MAIN, "boards": boards}


def _script_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, whatever the labels are."""
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
