"""One search space for several: their operations matched by name, so that one network reads the graphs of all."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.space import SearchSpace

ROLES = ("input", "output", "none", "skip")


def union(space: SearchSpace, others: Sequence[SearchSpace]) -> tuple[SearchSpace, list[NDArray[np.int64]]]:
    """A space that holds the architectures of `space` and of `others`; `space`'s own operations keep their ids.

    Operations are one where they have one role (input, output, none, skip), or else one name, but for underscores and a
    leading `nor_`: `nor_conv_3x3` is `conv3x3`.

    Returns:
        The space, and for each of the others the ids that its operations have there, int64 [O].

    Raises:
        ArchrankError: numbers of cells, or node attributes, differ.
    """
    for other in others:
        if other.cells != space.cells or other.attrs != space.attrs:
            raise ArchrankError(
                f"spaces '{space.name}' and '{other.name}' cannot be one: they differ in cells or in node attributes"
            )
    names, ids = list(space.ops), {called(space, op): op for op in range(len(space.ops))}
    roles, places = dict(space.roles), []
    for other in others:
        place = []
        for op, name in enumerate(other.ops):
            if (key := called(other, op)) not in ids:
                ids[key] = len(names)
                names.append(name if name not in names else f"{other.name}/{name}")
                roles |= {role: ids[key] for role, own in other.roles.items() if own == op and role not in roles}
            place.append(ids[key])
        places.append(np.array(place, np.int64))
    nodes = max(part.max_nodes for part in (space, *others))
    supports = [part.support for part in (space, *others)]
    support = None
    if all(part is not None for part in supports):
        support = np.zeros((nodes, nodes), bool)
        for part in supports:
            assert part is not None
            support[: len(part), : len(part)] |= part
    name = "+".join([space.name, *(other.name for other in others)])
    joint = SearchSpace(
        name,
        tuple(names),
        nodes,
        roles,
        space.cells,
        support,
        None if support is None else np.zeros_like(support),
        space.attrs,
    )
    return joint, places


def called(space: SearchSpace, op: int) -> str:
    """What an operation is matched by: its role, or its name without decoration."""
    role = next((role for role, own in space.roles.items() if own == op and role in ROLES), None)
    return f"<{role}>" if role else re.sub(r"^nor_|_", "", space.ops[op].lower())
