"""Lists of architectures that papers published as their split. They are data, found like benchmark files and never part
of the package."""

from __future__ import annotations

import re
from functools import lru_cache

from archrank.datasets.errors import DataError, DataMissing
from archrank.datasets.io.bounded import read_bytes

GATES_FILES = ("gates_split_train_hashes.txt", "gates_split_test_hashes.txt")
GATES_COUNT = 7290
_HASH = re.compile(r"[0-9a-f]{32}")


@lru_cache(maxsize=1)
def gates_hashes() -> tuple[str, ...]:
    """The 7,290 training and 7,290 test hashes of TA-GATES on NAS-Bench-101, in published order.

    DataMissing says where the two lists belong; DataError if one is not the published list.
    """
    from archrank.datasets.catalog import data_folders

    folder = next(
        (folder / "nasbench101" for folder in data_folders() if (folder / "nasbench101" / GATES_FILES[0]).is_file()),
        None,
    )
    if folder is None:
        raise DataMissing(
            f"the NAS-Bench-101 form of protocol 'gates' needs the published hash lists: put {' and '.join(GATES_FILES)} into "
            "nasbench101/ of a data folder (one module hash per line; they are in the FLAN repository, "
            "github.com/abdelfattah-lab/flan_nas, correlation_trainer/tagates_replication)"
        )
    hashes: list[str] = []
    for name in GATES_FILES:
        lines = read_bytes(folder / name, 4 << 20).decode("utf-8", errors="replace").split()
        for number, line in enumerate(lines, 1):
            if not _HASH.fullmatch(line):
                raise DataError(
                    f"{folder / name}: line {number}: {line[:40]!r} is not a module hash (32 hexadecimal digits)"
                )
        if len(lines) != GATES_COUNT:
            raise DataError(f"{folder / name}: {len(lines):,} hashes where the published list has {GATES_COUNT:,}")
        hashes += lines
    if len(set(hashes)) < len(hashes):
        raise DataError(f"{folder}: the published lists share no hash, these do")
    return tuple(hashes)
