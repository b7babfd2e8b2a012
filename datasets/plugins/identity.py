"""What an encoder, or anything else of a user's, is: a hash over its file and the files that it is built on, as their
text says it. Nothing is run."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from archrank.datasets.plugins.syntax import (
    DATASETS,
    ENCODERS,
    HOMES,
    module_file,
    package_root,
    split,
    statements,
    tree,
)

# Nothing that an encoder computes depends on these, whoever imports them: the decorators, the catalogue, this package,
# errors, and what reads a table, which a trial's key names by its contents.
NEUTRAL = frozenset(
    [
        ENCODERS / "registry.py",
        *(ENCODERS / "catalog").glob("*.py"),
        *(path for room in ("plugins", "io", "importers", "custom") for path in (DATASETS / room).glob("*.py")),
        DATASETS / "errors.py",
    ]
)


def source_hash(path: Path) -> str:
    """sha256 over the code of a file and of every file it is built on (see `code_of` and `built_on`)."""
    return _hash(tuple((part, part.stat().st_mtime_ns) for part in built_on(path)))


@lru_cache(maxsize=256)
def _hash(parts: tuple[tuple[Path, int], ...]) -> str:
    return hashlib.sha256(b"\0".join(code_of(*part) for part in parts)).hexdigest()


@lru_cache(maxsize=1024)
def code_of(path: Path, _modified: int) -> bytes:
    """The text of a file without docstrings, blank lines and lines that are comments: explaining a method better trains
    nothing again. Strings that are no docstrings are kept as they are."""
    lines = path.read_bytes().splitlines()
    explains: set[int] = set()  # numbers of lines, from 1
    holds: set[int] = set()  # those inside of strings that are values
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node, clean=False
        ):
            doc = node.body[0]
            first, last = doc.lineno, doc.end_lineno or doc.lineno
            before, after = lines[first - 1][: doc.col_offset], lines[last - 1][doc.end_col_offset :]
            if not before.strip() and after.strip()[:1] in (b"", b"#"):
                explains.update(range(first, last + 1))
        elif isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno != node.lineno:
            holds.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return b"\n".join(
        line
        for number, line in enumerate(lines, 1)
        if number not in explains and (number in holds or line.strip()[:1] not in (b"", b"#"))
    )


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
    for node in statements(tree(path)):
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
