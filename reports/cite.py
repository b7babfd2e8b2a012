"""How to cite the program, the report and the tables it rests on."""

from __future__ import annotations

from archrank.eval.trials.provenance import own_version
from archrank.reports.study import Study

__all__ = ["AUTHORS", "TITLE", "YEAR", "bibtex", "citations", "finished"]

# As CITATION.cff has them, which is no part of an installed package.
AUTHORS = "The archrank developers"
TITLE = "archrank: comparing encodings of neural architectures by how well they rank"
YEAR = "2026"


def bibtex() -> str:
    """The BibTeX entry of this version."""
    fields = {"author": f"{{{AUTHORS}}}", "title": f"{{{TITLE}}}", "version": own_version(), "year": YEAR}
    lines = [f"  {name:<7} = {{{value}}}" for name, value in fields.items()]
    return "\n".join(["@software{archrank,", ",\n".join(lines), "}"])


def citations(study: Study) -> list[tuple[str, str]]:
    """(benchmark, what its card asks to be cited as) of every table that is available locally and says so."""
    lines = []
    for name in sorted(study.frame["benchmark"].unique()):
        table = study.table(str(name))
        if not isinstance(table, str) and table.card.citation:
            lines.append((str(name), table.card.citation))
    return lines


def finished(study: Study) -> str:
    """When the newest trial was done (UTC), which is what a report is of; empty where no trial says."""
    return max((record.provenance.finished or "" for record in study.records.values()), default="")[:10]
