"""The sections of a report, one module each (two in `curves`). Those of installed packages stand among them by their
order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archrank.datasets.registry import Registry

if TYPE_CHECKING:
    from archrank.reports.blocks import Section
    from archrank.reports.study import Study

__all__ = ["SECTIONS", "ReportSection", "section"]

Build = Callable[["Study"], "Section | None"]


@dataclass(frozen=True)
class ReportSection:
    """A section by its name, as `@section` makes it. order: its place among the others. build: see `section`."""

    name: str
    order: float
    build: Build

    def __call__(self, study: Study) -> Section | None:
        """The section of a study, or None where there is nothing to say."""
        return self.build(study)


def section(name: str, *, order: float) -> Callable[[Build], ReportSection]:
    """Register a section: a function that says what it has to say of a study in blocks (`archrank.reports.blocks`), or
    returns None.

    order: sections stand in this order; the built-in ones are at 10 (key findings), 20 (what was run), ... 100
    (appendix).
    """

    def attach(build: Build) -> ReportSection:
        return ReportSection(name, order, build)

    return attach


SECTIONS: Registry[ReportSection] = Registry("report section", "sections", __name__, ReportSection, ("section",))
