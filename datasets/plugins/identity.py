"""What an encoder, or anything else of a user's, is: a hash over its file and the files that it is built on, as their
text says it. Nothing is run."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from archrank.datasets.plugins.syntax import DATASETS, ENCODERS, HOMES, module_file, package_root, split, tree

# Nothing that an encoder computes depends on these, whoever imports them: the decorators, the catalogue, this package,
# and errors.
NEUTRAL = frozenset(
    [
        ENCODERS / "registry.py",
        *(ENCODERS / "catalog").glob("*.py"),
        *(DATASETS / "plugins").glob("*.py"),
        DATASETS / "errors.py",
    ]
)


def source_hash(path: Path) -> str:
    """sha256 over a file and every file it is built on (see `built_on`)."""
    return _hash(tuple((part, part.stat().st_mtime_ns) for part in built_on(path)))


@lru_cache(maxsize=256)
def _hash(parts: tuple[tuple[Path, int], ...]) -> str:
    return hashlib.sha256(b"\0".join(part.read_bytes() for part, _ in parts)).hexdigest()


def built_on(path: Path) -> list[Path]:
    """The file and, sorted, the files that it imports, however deep: modules of `archrank.encoders` and
    `archrank.datasets`, and of its own package or folder. Not followed: installed packages, the rest of archrank (the
    harness's version stands for it), names that are computed."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        if (current := waiting.pop()) not in seen:
            seen.add(current)
            waiting += imported(current, current.stat().st_mtime_ns)
    return [path, *sorted(seen - {path}, key=lambda part: (not _ours(part), part))]


@lru_cache(maxsize=1024)
def imported(path: Path, _modified: int) -> tuple[Path, ...]:
    """The followed files that a file's own imports run: modules, and the packages that these lie in."""
    files = {file for level, name in _names(path) if (file := module_file(path, level, split(name))) is not None}
    files |= {init for file in [path, *files] if not _ours(file) for init in _packages(file)}
    return tuple(
        file
        for file in sorted(files - {path})
        if file not in NEUTRAL and not (_ours(file) and file.name == "__init__.py")
    )


def _names(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            yield from ((node.level, f"{module}.{alias.name}") for alias in node.names)


def _packages(file: Path) -> Iterator[Path]:
    """The `__init__.py` of every package that a file lies in, the outermost last."""
    root = package_root(file)
    return (folder / "__init__.py" for folder in file.parents if folder.is_relative_to(root) and folder != root)


def _ours(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in HOMES.values())
