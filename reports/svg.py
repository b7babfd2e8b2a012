"""SVG text made small and the same every time, and fit to stand inside a page.

Everything here changes tags only: what stands between them are the words and numbers a reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape

__all__ = ["as_file", "inlined", "minified"]

_TAG = re.compile(r"(<[^>]+>)")
_NAMED = re.compile(
    r' ?\bid="(?:figure|axes|patch|line2d|text|matplotlib|xtick|ytick|PolyCollection|LineCollection|PathCollection|'
    r'FillBetweenPolyCollection|legend|QuadMesh)[\w.]*"'
)


def _in_tags(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(part) if part.startswith("<") else part for part in _TAG.split(text))


def minified(text: str) -> str:
    """Matplotlib's SVG without dates, comments, needless decimals, empty groups and defaults.

    Groups named `enc<number>` become classes, since several marks of one predictor share the name.
    """
    text = re.sub(
        r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>\*\{[^}]*\}</style>",
        "",
        text,
        flags=re.S,
    )
    text = re.sub(r">\s+<", "><", text).strip()
    text = _in_tags(text, _small)
    text = re.sub(r'<path d="[^"]*" style="fill:none"/>|<defs></defs>|<g></g>|<g/>', "", text)
    return _without_bare_groups(text)


def _small(tag: str) -> str:
    tag = re.sub(r"\s+", " ", tag)
    tag = re.sub(r"-?\d+\.\d{2,}", lambda m: _short(float(m[0])), tag)
    tag = re.sub(r'\bid="(enc\d+)(?:-tip-([0-9a-f]+))?[\w.]*"', _mark, tag)
    tag = _NAMED.sub("", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", tag)
    tag = re.sub(r"stroke-linejoin: (?:miter|round);? ?|stroke-linecap: (?:butt|square);? ?", "", tag)
    tag = re.sub(r'style="([^"]*)"', lambda m: f'style="{_declarations(m[1])}"', tag)
    tag = re.sub(r' d="([^"]*)"', lambda m: f' d="{_path(m[1])}"', tag)
    return re.sub(r" (/?>)$", r"\1", tag)


def _mark(match: re.Match[str]) -> str:
    """A mark's predictor as a class, and what a page says of it under the pointer."""
    tip = bytes.fromhex(match[2] or "").decode()
    return f'class="{match[1]}"' + (f' data-tip="{escape(tip, quote=True)}"' if tip else "")


def _short(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _declarations(style: str) -> str:
    return ";".join(part.replace(": ", ":").replace(", ", ",") for part in re.split(r"; *", style.strip(" ;")))


def _path(path: str) -> str:
    # A point drawn as a line of no length needs its place once.
    path = re.sub(r"M (-?[\d.]+ -?[\d.]+) L \1(?= |$)", r"M \1h0", path)
    return re.sub(r" ?([A-Za-z]) ?", r"\1", path).strip()


def _without_bare_groups(text: str) -> str:
    """Groups without any attribute hold nothing together; their tags are dropped, their content stays."""
    out: list[str] = []
    bare: list[bool] = []
    for part in _TAG.split(text):
        if part.startswith("<g") and part[2] in " >" and not part.endswith("/>"):
            bare.append(part == "<g>")
            if bare[-1]:
                continue
        elif part == "</g>" and bare.pop():
            continue
        out.append(part)
    return "".join(out)


def as_file(text: str) -> bytes:
    """A drawing as a file of its own, without what only a page shows."""
    text = _in_tags(text, lambda tag: re.sub(r' data-tip="[^"]*"', "", tag))
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + text + "\n").encode()


def inlined(text: str, prefix: str, alt: str, colours: Mapping[str, str]) -> str:
    """The drawing for use inside a page: ids short and unique, colours replaced, the page's own font, words for those
    who do not see it.

    `alt` must already be escaped for use in an attribute; `colours` maps colours as they are drawn to what shall stand
    there.
    """
    ids: dict[str, str] = {}
    any_colour = re.compile("|".join(map(re.escape, colours)))

    def name(match: re.Match[str]) -> str:
        return f"{match[1]}{prefix}-{ids.setdefault(match[2], str(len(ids)))}"

    def change(tag: str) -> str:
        tag = re.sub(r'(\bid=")([^"]+)', name, tag)
        tag = re.sub(r'(url\(#|href="#)([^")]+)', name, tag)
        tag = re.sub(r"font-family:[^;\"]*;?", "", tag).replace("xlink:href", "href")
        return any_colour.sub(lambda m: colours[m[0]], tag)

    def opening(match: re.Match[str]) -> str:
        # Points to pixels, and a little room to grow with a wide column.
        wide = float(match[1]) * 1.6
        return f'<svg viewBox="0 0 {match[1]} {match[2]}" style="max-width:{wide:.0f}px" role="img" aria-label="{alt}">'

    text = _in_tags(text, change)
    return re.sub(r'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>', opening, text, count=1)
