"""What operations mean: where data enters and leaves, what is no connection and what an identity; and what follows for
equal architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from archrank.datasets.custom.ordering import OrderedGraph
from archrank.datasets.errors import DataError
from archrank.datasets.io.bounded import shown
from archrank.datasets.keys import FlatGraphs, OpRoles, computation_keys, labelled_keys

ROLES = ("input", "output", "none", "skip")
# Operation names that have a meaning of their own, when no roles are given.
_NAMES = {
    "input": ("input", "in", "x"),
    "output": ("output", "out", "y"),
    "none": ("none", "zero", "zeroize"),
    "skip": ("skip", "skip_connect", "identity", "skip_connection"),
}


def op_roles(ops: Sequence[str], given: Mapping[str, str] | None, where: str) -> dict[str, int]:
    """Op ids by role: those `given` by name, or, where none are given, what usual names say.

    A second operation of one role is given as `input_2` and so on. DataError for an unknown role or operation.
    """
    place = {op: number for number, op in enumerate(ops)}
    if given is None:
        lower = {op.lower(): number for op, number in place.items()}
        guessed = {role: next((lower[name] for name in names if name in lower), None) for role, names in _NAMES.items()}
        return {role: number for role, number in guessed.items() if number is not None}
    for role, op in given.items():
        if not isinstance(role, str) or role.partition("_")[0] not in ROLES:
            raise DataError(
                f"{where}: {shown(role)} is no role; known: {', '.join(ROLES)} (and input_2, output_2, ... for further ones)"
            )
        if not isinstance(op, str):
            raise DataError(
                f"{where}: role '{role}' names {shown(op)}; name one operation, and others as {role}_2, {role}_3, ..."
            )
        if op not in place:
            raise DataError(
                f"{where}: role '{role}' names operation '{op}', which does not occur; known: {', '.join(place)}"
            )
    return {role: place[op] for role, op in given.items()}


def class_keys(graphs: Sequence[OrderedGraph], roles: Mapping[str, int], attrs: Sequence[str]) -> tuple[list[str], str]:
    """Isomorphism key of each graph, and the rule: what architectures of one class share.

    With roles it is the computation (see `keys.computation_keys`), without any the labelled graph as it stands.
    """
    rows = [list(node) for graph in graphs for node in zip(*(graph.attrs[name] for name in attrs))] if attrs else None
    flat = FlatGraphs(
        [graph.ops for graph in graphs],
        [graph.edges for graph in graphs],
        [graph.cell for graph in graphs],
        None if rows is None else np.array(rows, np.float32),
    )
    if not roles:
        return labelled_keys(flat), "equal graphs"
    of = {role: [op for name, op in roles.items() if name.startswith(role)] for role in ROLES}
    rule = f"equal computation ({', '.join(role for role in ROLES if of[role])})"
    return computation_keys(flat, OpRoles(of["input"], of["output"], of["none"], of["skip"])), rule


def leak_warning(ops: Sequence[str], roles: Mapping[str, int], given: bool) -> str:
    """Which architectures that compute the same may be told apart, for want of roles; empty where roles were given or
    all are known."""
    missing = [role for role in ROLES if not any(name.startswith(role) for name in roles)]
    if given or not missing:
        return ""
    means = {"input": "where data enters", "output": "where it leaves", "none": "no connection", "skip": "an identity"}
    free = [op for number, op in enumerate(ops) if number not in roles.values()]
    among = f" (among {', '.join(free[:6])}{', ...' if len(free) > 6 else ''})" if free else ""
    return (
        f"no operation is taken for {' or '.join(f'{role} ({means[role]})' for role in missing)}; if there is one{among}, name it with roles "
        f"(--roles {missing[-1]}=NAME), or architectures that compute the same may stand in training and test set"
    )
