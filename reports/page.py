"""A report from stores to files: read, compute, say, render."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from archrank.datasets import ArchrankError, Benchmark
from archrank.datasets.errors import one_line
from archrank.eval.trials.files import replace_bytes
from archrank.eval.trials.store import Store
from archrank.reports.blocks import FORMATS, Figure, Panel, Section, Text, walk
from archrank.reports.renderers.csv import render_csv
from archrank.reports.renderers.html import render_html
from archrank.reports.renderers.text import render_json, render_markdown, render_tables
from archrank.reports.sections import SECTIONS
from archrank.reports.sections.search import search_section
from archrank.reports.study import Study, read_study
from archrank.reports.style import Palette
from archrank.reports.svg import as_file
from archrank.reports.trials_table import trials_csv, trials_parquet
from archrank.reports.words import join, plural

__all__ = ["sections_of", "write"]


def sections_of(study: Study) -> list[Section]:
    """The parts of the page, in order. One of an installed package that fails says so in its place, and costs no
    other."""
    sections = []
    for name, entry in sorted(SECTIONS.items(), key=lambda item: item[1].order):
        try:
            built = entry(study)
        except Exception as error:
            if SECTIONS.find(name).built_in:
                raise
            built = Section(
                name,
                name,
                [Text((f"Section {name} ({SECTIONS.find(name).origin}) failed: {one_line(error)}",), "warning")],
            )
        if built is not None:
            sections.append(built)
    return sections


def write(
    stores: Sequence[Path],
    out: Path,
    *,
    formats: Sequence[str],
    only: Sequence[str] | None,
    title: str,
    name: str,
    load: Callable[[str], Benchmark] | None,
) -> list[Path]:
    """See `archrank.reports.build`."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ArchrankError(f"unknown report format '{unknown[0]}'; there are {', '.join(FORMATS)}")
    # One thread: the arithmetic here is small, spinning threads cost more than they bring on a busy machine, and the
    # order of sums, so every byte, stays the same.
    with threadpool_limits(1):
        return _write(stores, out, formats, only, title, name, load)


def _write(
    stores: Sequence[Path],
    out: Path,
    formats: Sequence[str],
    only: Sequence[str] | None,
    title: str,
    name: str,
    load: Callable[[str], Benchmark] | None,
) -> list[Path]:
    content = _searches_alone(stores, title, load) if only is None else None
    heading, subtitle, sections, palette, trials, frame = content or _comparison(stores, only, title, load, formats)
    panels = list(_panels(sections))
    pictures: dict[str, bytes] = {}
    files: dict[str, str] = {}
    if {"svg", "md"} & set(formats):
        for panel in panels:
            files[panel.name] = f"figures/{panel.name}.svg"
            pictures[files[panel.name]] = as_file(panel.picture.svg)
    if "pdf" in formats:
        pictures |= {f"figures/{panel.name}.pdf": panel.picture.pdf() for panel in panels}
    texts: dict[str, bytes] = {}
    if "html" in formats:
        texts[f"{name}.html"] = render_html(heading, subtitle, sections, palette).encode()
    if "md" in formats:
        texts[f"{name}.md"] = render_markdown(heading, subtitle, sections, files).encode()
    if "tex" in formats:
        texts[f"{name}.tex"] = render_tables(sections).encode()
    if "json" in formats:
        texts[f"{name}.json"] = render_json(heading, subtitle, sections, trials).encode("utf-8", "backslashreplace")
    if "csv" in formats:
        texts |= ({} if frame is None else {"trials.csv": trials_csv(frame)}) | render_csv(sections)
    if "parquet" in formats and frame is not None:
        texts["trials.parquet"] = trials_parquet(frame)
    return [_written(out, path, data) for path, data in [*texts.items(), *sorted(pictures.items())]]


Content = tuple[str, str, list[Section], Palette, list[Mapping[str, Any]], pd.DataFrame | None]


def _comparison(
    stores: Sequence[Path],
    only: Sequence[str] | None,
    title: str,
    load: Callable[[str], Benchmark] | None,
    formats: Sequence[str],
) -> Content:
    """What a report on trials says: heading, subtitle, sections, colours and the trials themselves."""
    study = read_study(stores, only=only, load=load, formats=formats)
    return title or _title(study), _subtitle(study), sections_of(study), study.palette, _trials(study), study.frame


def _searches_alone(stores: Sequence[Path], title: str, load: Callable[[str], Benchmark] | None) -> Content | None:
    """The same of stores that hold searches and no trial; None of any other."""
    from archrank.datasets import load as default_load

    if (
        any(Store(store).keys() for store in stores)
        or (section := search_section(stores, load or default_load)) is None
    ):
        return None
    return (
        title or "Architecture search",
        "Which search finds a good architecture soonest?",
        [section],
        Palette([]),
        [],
        None,
    )


def _title(study: Study) -> str:
    benchmarks = sorted(study.frame["benchmark"].unique())
    return f"{plural(len(study.palette.place), 'architecture encoder')} on {join(benchmarks, 4)}"


def _subtitle(study: Study) -> str:
    frame = study.frame
    budgets = sorted(int(b) for b in frame["budget"].unique())
    return (
        f"Which one ranks unseen architectures best, from {join([str(b) for b in budgets])} labels? "
        f"{plural(len(frame), 'trial')} over {plural(frame['seed'].nunique(), 'seed')} and "
        f"{plural(frame['space'].nunique(), 'search space')}."
    )


def _panels(sections: Sequence[Section]) -> Iterator[Panel]:
    for section in sections:
        for block in walk(section.blocks):
            if isinstance(block, Figure):
                yield from block.panels


def _trials(study: Study) -> list[Mapping[str, Any]]:
    return [study.records[key].plain() for key in sorted(study.records)]


def _written(out: Path, name: str, data: bytes) -> Path:
    path = out / name
    if not path.resolve().is_relative_to(out.resolve()):
        raise ArchrankError(f"a file of the report would be written outside {out}: {name}")

    replace_bytes(path, data)
    return path
