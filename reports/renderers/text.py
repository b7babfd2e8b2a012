"""The same blocks as Markdown, as LaTeX tables and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from archrank.datasets.io.visible import visible
from archrank.reports.blocks import (
    Block,
    Bold,
    Choice,
    Code,
    Details,
    Figure,
    Heading,
    Inline,
    Leaderboard,
    Link,
    Live,
    Mono,
    Section,
    Table,
    Text,
    walk,
)
from archrank.reports.words import finite

__all__ = ["render_json", "render_markdown", "render_tables", "tables_of"]

_ARROW = {"up": " ↑", "down": " ↓", "": ""}


_MD = str.maketrans({sign: "\\" + sign for sign in "\\`*_[]#|~$"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What makes a list, a heading or a rule of a line that begins with it.
_MD_START = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")


def _md(text: str) -> str:
    """Text as it stands: characters that Markdown or HTML would read as markup are escaped."""
    return visible(text).translate(_MD)


def _md_line(text: str) -> str:
    """The same at the beginning of a line."""
    return _MD_START.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] in "-+=" else f"{m[1]}{m[2]}\\", _md(text)).lstrip()


def _md_entities(text: str) -> str:
    """The same inside an HTML element, where some readers of Markdown look for markup and others do not."""
    return "".join(f"&#{ord(sign)};" if sign in "\\`*_[]#|~$&<>\"'" else sign for sign in visible(text))


def _md_code(text: str) -> str:
    """Text inside backticks, more of them than it has itself."""
    text = visible(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def _md_inline(parts: Sequence[Inline]) -> str:
    out = []
    for part in parts:
        match part:
            case Bold(text):
                # Markdown takes no space before the closing signs.
                out.append(f"**{_md(text.rstrip())}**" + " " * (len(text) - len(text.rstrip())))
            case Mono(text):
                out.append(_md_code(text))
            case Link(text):
                out.append(_md(text))
            case str():
                out.append(_md(part) if out else _md_line(part))
    return "".join(out)


def _md_table(table: Table) -> list[str]:
    lines = [f"*{_md(table.caption)}*", ""] if table.caption else []
    lines.append("| " + " | ".join(_md(c.title) + _ARROW[c.better] for c in table.columns) + " |")
    lines.append("|" + "|".join("---:" if c.numeric else ":---" for c in table.columns) + "|")
    for row in table.rows:
        lines.append("| " + " | ".join(_md(row[c.key].text) for c in table.columns) + " |")
    return [*lines, ""]


def _md_block(block: Block, files: Mapping[str, str]) -> list[str]:
    match block:
        case Text(parts, tone):
            text = _md_inline(parts)
            return [f"- {text}"] if tone == "item" else [f"> {text}", ""] if tone == "warning" else ["", text, ""]
        case Heading(text, level):
            return ["", f"{'#' * level} {_md(text)}", ""]
        case Code(text):
            text = visible(text, lines=True)
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return ["", f"{fence}sh", text, fence, ""]
        case Table():
            return ["", *_md_table(block)]
        case Leaderboard(_, caption, views):
            lines = ["", _md_line(caption), ""]
            for number, (_, table) in enumerate(views):
                lines += _md_table(table) if number == 0 else []
            rest = [line for _, table in views[1:] for line in _md_table(table)]
            return lines + (
                ["<details><summary>By budget and by benchmark</summary>", "", *rest, "</details>", ""] if rest else []
            )
        case Figure(_, caption, panels):
            pictures = [f"![{_md(p.alt)}]({files[p.name]})" for p in panels if files.get(p.name)]
            return ["", *pictures, "", f"*{_md(caption)}*", ""]
        case Live(blocks=blocks):
            return [line for b in blocks for line in _md_block(b, files)]
        case Choice(options=options):
            (first, blocks), *others = options
            return (
                ["", f"### {_md(first)}", ""]
                + [line for b in blocks for line in _md_block(b, files)]
                + [line for title, more in others for line in _md_block(Details(title, more), files)]
            )
        case Details(summary, blocks):
            body = [line for b in blocks for line in _md_block(b, files)]
            return ["", f"<details><summary>{_md_entities(summary)}</summary>", "", *body, "</details>", ""]
    raise TypeError(type(block).__name__)


def render_markdown(title: str, subtitle: str, sections: Sequence[Section], files: Mapping[str, str]) -> str:
    """The whole report; `files` maps panel names to picture files, relative to the Markdown file."""
    lines = [f"# {_md(title)}", "", _md_line(subtitle), ""]
    lines += [f"{i}. [{_md(s.title)}](#{i}-{_anchor(s.title)})" for i, s in enumerate(sections, 1)]
    for i, section in enumerate(sections, 1):
        lines += ["", f"## {i}. {_md(section.title)}", ""]
        for block in section.blocks:
            lines += _md_block(block, files)
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip() + "\n"


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "−": "$-$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "…": r"\ldots{}",
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "≤": r"$\leq$",
    "“": "``",
    "”": "''",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in visible(text))


def _tex_row(cells: Iterable[str]) -> str:
    """A row of a table; an opening bracket or a star after the end of the row before it would be an argument of
    that."""
    row = " & ".join(cells)
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def tables_of(sections: Sequence[Section]) -> list[Table]:
    """Every table worth a place in a paper, in order, with unique ids."""
    blocks = [block for section in sections for block in walk(section.blocks)]
    boards = {id(block): [table for _, table in block.views] for block in blocks if isinstance(block, Leaderboard)}
    return [
        table
        for block in blocks
        for table in boards.get(id(block), [block] if isinstance(block, Table) and block.paper else [])
    ]


def render_tables(sections: Sequence[Section]) -> str:
    """LaTeX: one `table` environment per table, for `\\usepackage{booktabs}`."""
    out = [r"% Tables of an archrank report; needs \usepackage{booktabs}.", ""]
    for table in tables_of(sections):
        aligned = "".join("r" if c.numeric else "l" for c in table.columns)
        arrow = {"up": r" $\uparrow$", "down": r" $\downarrow$", "": ""}
        out += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(table.caption)}}}",
            rf"\label{{tab:{''.join(c if c.isalnum() or c == '-' else '-' for c in table.id)}}}",
            rf"\begin{{tabular}}{{{aligned}}}",
            r"\toprule",
            _tex_row(_tex(c.title) + arrow[c.better] for c in table.columns),
            r"\midrule",
        ]
        out += [_tex_row(_tex(row[c.key].text) for c in table.columns) for row in table.rows]
        out += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(out)


def render_json(title: str, subtitle: str, sections: Sequence[Section], trials: Sequence[Mapping[str, Any]]) -> str:
    """Everything said, as data: the blocks of every section (pictures by name) and one object per trial."""
    document = {
        "schema": 1,
        "title": title,
        "subtitle": subtitle,
        "sections": [{"id": s.id, "title": s.title, "blocks": [_json_block(b) for b in s.blocks]} for s in sections],
        "trials": list(trials),
    }
    return json.dumps(finite(document), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json_block(block: Block) -> dict[str, Any]:
    match block:
        case Text(parts, tone):
            return {"text": "".join(p if isinstance(p, str) else p.text for p in parts), "tone": tone}
        case Heading(text):
            return {"heading": text}
        case Code(text):
            return {"code": text}
        case Table():
            return {"table": _json_table(block)}
        case Leaderboard(name, caption, views):
            return {"leaderboard": name, "caption": caption, "views": {title: _json_table(t) for title, t in views}}
        case Figure(name, caption, panels):
            return {"figure": name, "caption": caption, "panels": {p.name: p.alt for p in panels}}
        case Live(kind=kind, blocks=blocks):
            return {"live": kind, "blocks": [_json_block(b) for b in blocks]}
        case Choice(name, title, options):
            return {
                "choice": name,
                "title": title,
                "options": {t: [_json_block(b) for b in blocks] for t, blocks in options},
            }
        case Details(summary, blocks):
            return {"details": summary, "blocks": [_json_block(b) for b in blocks]}
    raise TypeError(type(block).__name__)


def _json_table(table: Table) -> dict[str, Any]:
    rows = [
        {
            c.key: {"text": (cell := row[c.key]).text}
            | {n: v for n, v in (("value", cell.sort), ("low", cell.low), ("high", cell.high)) if v is not None}
            for c in table.columns
        }
        for row in table.rows
    ]
    return {"id": table.id, "caption": table.caption, "columns": {c.key: c.title for c in table.columns}, "rows": rows}
