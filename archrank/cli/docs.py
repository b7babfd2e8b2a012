"""`archrank docs`: the pages that are generated from the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from archrank.cli.console import echo

HEAD = """# Encoders

Generated from the encoders' own docstrings by `archrank docs` (a test keeps it true). Learned encoders are trained by the harness and end in a linear head;
fixed ones are functions of the graph alone and take any head (`path+gp`); pre-trained ones learn from unlabelled graphs first, which is counted in their cost.
`archrank check NAME` prints what each is invariant to, whether it trains as a vmapped ensemble with its other seeds, its parameters and its speed.
"""


def encoders_page() -> str:
    """docs/encoders.md as text."""
    from archrank.encoders.catalog import builtin

    parts = [HEAD, _reserved()]
    families: dict[str, list[str]] = {}
    for info in builtin().values():
        kind = (
            "portfolio"
            if info.portfolio
            else "learned"
            if info.learned
            else "fixed, pre-trained without labels"
            if info.pretrained
            else "fixed"
        )
        options = ", ".join(f"`{name}={option.default}`" for name, option in info.options.items()) or "none"
        hooks = {
            "paper_recipe": "a published recipe",
            "paper_config": "a published size",
            "twins": "twins for a consistency loss",
            "auxiliary_loss": "a loss of its own",
            "compare": "pairs, ranked by Borda count",
            "states": "states of nodes, for pretexts that ask about them",
            "supports": "what it cannot hold, said in advance",
        }
        offers = ", ".join(hooks[hook] for hook in info.hooks)
        lines = [
            f"### `{info.name}`",
            "",
            info.doc,
            "",
            f"*{kind.capitalize()}.* Options: {options}." + (f" Offers: {offers}." if offers else ""),
            "",
            f"Source: `encoders/{info.path.parent.name}/{info.path.name}`, checked by {_tests(info.path)}.",
            "",
        ]
        families.setdefault(info.family, []).append("\n".join(lines))
    for family in sorted(families):
        parts += [f"## {family[:1].upper()}{family[1:]}", "", *families[family]]
    return "\n".join(parts).rstrip() + "\n"


def _reserved() -> str:
    """The options that every learned encoder, and every portfolio, has beside its own."""
    from archrank.encoders.reserved import RESERVED_BY_KIND

    lines: list[str] = []
    for kind, reserved in RESERVED_BY_KIND.items():
        lines += [f"Every {kind} has these options too:", ""]
        lines += [f"- `{name}={said.default}`: {said.summary}." for name, said in reserved.items()] + [""]
    return "\n".join(lines)


def store_page(text: str) -> str:
    """docs/store.md with the tables of the schema written anew between their marks."""
    from archrank.eval.trials.schema_page import schema_tables

    head, mark, rest = text.partition("a test keeps it true -->\n")
    _, end, tail = rest.partition("<!-- end of schema -->")
    return f"{head}{mark}\n{schema_tables()}\n\n{end}{tail}" if mark and end else text


def suite_schema() -> str:
    """docs/schema/suite.json as text: what a suite file may hold, for editors."""
    from archrank.eval.trials.suite import Suite

    return json.dumps(Suite.model_json_schema(), indent=1) + "\n"


def _tests(source: Path) -> str:
    """The tests of an encoder, where the repository has some of its own for it."""
    own = Path("tests/encoders") / f"test_{source.stem}.py"
    return f"`{own}` and the contract tests" if (source.parents[2] / own).exists() else "the contract tests"


def docs(folder: Annotated[Path, typer.Option("--output", "-o", help="The docs folder.")] = Path("docs")) -> None:
    """Write the generated documentation: docs/encoders.md, the schema in docs/store.md, and docs/schema."""
    from archrank.reports.trials_table import record_schema

    pages = {"encoders.md": encoders_page(), "schema/trial.json": record_schema(), "schema/suite.json": suite_schema()}
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        echo(f"wrote {path}")
    if (store := folder / "store.md").is_file():
        store.write_text(store_page(store.read_text(encoding="utf-8")), encoding="utf-8")
        echo(f"wrote the schema in {store}")
