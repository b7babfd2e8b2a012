"""Python files as syntax trees: what a name stands for in one, and which files an import means. Nothing is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from archrank.datasets.io.paths import is_file
from archrank.datasets.source_text import Unknown, parsed

# They lie side by side in the repository and as installed.
DATASETS = Path(__file__).resolve().parent.parent
ENCODERS = DATASETS.parent / "encoders"
# Packages of archrank whose modules an encoder may be built on.
HOMES = {"encoders": ENCODERS, "datasets": DATASETS}
INSTALLED = ("site-packages", "dist-packages")
Definition = ast.ClassDef | ast.FunctionDef


def tree(path: Path) -> ast.Module:
    """The syntax tree of a file. ArchrankError, one line, if it is missing, no plain file, too large or no Python."""
    return parsed(path, "encoder file")


def bindings(path: Path) -> dict[str, ast.stmt]:
    """What the top level of a file last binds each name to; a name bound inside `if`, `try` and the like to that
    statement."""
    bound: dict[str, ast.stmt] = {}
    for statement in tree(path).body:
        bound |= dict.fromkeys(_bound(statement), statement)
    return bound


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            yield from (
                node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )
    else:
        for inner in ast.iter_child_nodes(statement):
            if isinstance(inner, ast.stmt):
                yield from _bound(inner)


def lookup(path: Path, name: str, depth: int = 16) -> tuple[Path, ast.stmt] | None:
    """Where a dotted name that a file uses is defined: the file and the statement, through imports of followed files;
    None if not there."""
    head, _, rest = name.partition(".")
    statement = bindings(path).get(head)
    if statement is None or depth == 0:
        return None
    if isinstance(statement, ast.ImportFrom):
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == head)
        module = split(statement.module)
        if not rest and (file := module_file(path, statement.level, module)) and original in bindings(file):
            return lookup(file, original, depth - 1)
        file = module_file(path, statement.level, [*module, original])
        return lookup(file, rest, depth - 1) if file and rest else None
    if isinstance(statement, ast.Import):
        alias = next(alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) == head)
        dotted = alias.name if alias.asname else name.rpartition(".")[0]
        file = module_file(path, 0, split(dotted))
        return lookup(file, rest if alias.asname else name.rpartition(".")[2], depth - 1) if file and rest else None
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name) and not rest:
        return lookup(path, statement.value.id, depth - 1) or (path, statement)
    return None if rest else (path, statement)


def split(module: str | None) -> list[str]:
    """The parts of a dotted name; none of None."""
    return [part for part in (module or "").split(".") if part]


def module_file(path: Path, level: int, parts: Sequence[str]) -> Path | None:
    """The file of a module that a file imports, if it is followed: one of archrank's encoders or datasets, or of the
    file's own surroundings."""
    for place in _places(path, level, parts):
        for file in (place / "__init__.py", *([place.with_name(f"{place.name}.py")] if parts else [])):
            if is_file(file):
                return file
    return None


def _places(path: Path, level: int, parts: Sequence[str]) -> list[Path]:
    if level:
        return [path.parents[min(level, len(path.parents)) - 1].joinpath(*parts)]
    if not parts or parts[0] in sys.stdlib_module_names:
        return []
    if parts[0] == "archrank":
        return [HOMES[parts[1]].joinpath(*parts[2:])] if len(parts) > 1 and parts[1] in HOMES else []
    return [folder.joinpath(*parts) for folder in surroundings(path, parts[0])]


def surroundings(path: Path, name: str) -> list[Path]:
    """Folders in which a module that a file imports by `name` is looked for: where the file's outermost package lies,
    the file's own folder, the folder above one of that name, and, if the file changes `sys.path`, those above; never
    one of installed packages, but for the file's own."""
    folders = [package_root(path), path.parent]
    if _changes_path(path):
        folders += path.parents
    return [folder for folder in folders if folder.name not in INSTALLED] + [
        above.parent for above in path.parents if above.name == name
    ]


def package_root(path: Path) -> Path:
    """The nearest folder above a file that is no package itself."""
    return next(folder for folder in path.parents if not is_file(folder / "__init__.py") or folder == folder.parent)


def _changes_path(path: Path) -> bool:
    return _names_path(tree(path), path)


@lru_cache(maxsize=1024)
def _names_path(module: ast.Module, path: Path) -> bool:
    return b"sys" in path.read_bytes() and any(
        isinstance(node, ast.Attribute)
        and node.attr == "path"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
        for node in ast.walk(module)
    )


def statements(block: ast.AST) -> Iterator[ast.stmt]:
    """Every statement below a node, those inside of functions, classes and branches included, in order. Expressions,
    which are most of a tree, are not looked into."""
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        inner = getattr(block, name, None)
        for node in inner if isinstance(inner, list) else ():
            if isinstance(node, ast.stmt):
                yield node
            yield from statements(node)


def value(path: Path, node: ast.expr) -> Any:
    """The literal that an expression of a file is, or that a name in it was given there or in a followed file. Raises
    Unknown."""
    try:
        if isinstance(node, (ast.Name, ast.Attribute)):
            place = lookup(path, ast.unparse(node))
            if place is not None and isinstance(place[1], (ast.Assign, ast.AnnAssign)) and place[1].value is not None:
                return ast.literal_eval(place[1].value)
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise Unknown from None
