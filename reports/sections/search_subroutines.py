"""The three subroutines of a search, each with one encoding: to sample, to perturb, to predict."""

from __future__ import annotations

from collections.abc import Sequence

from archrank.eval.search.compare import Standing, digits_of, rounded
from archrank.eval.search.guided import subroutine_of
from archrank.reports.blocks import Cell, Column, Table

COLUMNS = {
    "sample": "sample (random search)",
    "perturb": "perturb (evolution)",
    "predict": "predict (BANANAS)",
}


def subroutines(standings: Sequence[Standing], number: int) -> Table | None:
    """A row for every encoding that was tried in at least two subroutines apart; None where there is none."""
    by_role: dict[str, dict[str, Standing]] = {}
    for item in standings:
        if (where := subroutine_of(item.label)) is not None:
            by_role.setdefault(where[1], {}).setdefault(where[0], item)
    by_role = {name: roles for name, roles in by_role.items() if len(roles) > 1}
    if not by_role:
        return None
    digits, last = digits_of(standings), max(standings[0].at)
    rows = []
    for name in sorted(by_role, key=lambda name: min(item.log_regret.value for item in by_role[name].values())):
        cells = {"encoding": Cell(name)}
        for role in COLUMNS:
            tried = by_role[name].get(role)
            value = tried.at[last] if tried else None
            cells[role] = Cell(f"{rounded(value, digits)} {tried.tier}", value.value) if tried and value else Cell("")
        rows.append(cells)
    return Table(
        f"search-subroutines-{number}",
        f"Encodings in one subroutine alone: test regret after {last} queries, and tier among all searches above. Plain random search "
        "draws every architecture with equal probability, and plain evolution goes one edit.",
        (Column("encoding", "encoding", "", False), *(Column(role, title, "down") for role, title in COLUMNS.items())),
        tuple(rows),
        sortable=True,
        compact=True,
    )
