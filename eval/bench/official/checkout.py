"""Importing from a checkout of somebody's repository, in a process that does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


def find(folder: Path, marker: str) -> Path | None:
    """`folder`, or the folder in it, that has the file `marker`; None if there is none."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return next((path.resolve() for path in (folder, *inside) if (path / marker).is_file()), None)


def enter(checkout: Path, *, absent: Sequence[str] = (), bare: Sequence[str] = ()) -> None:
    """Import from a checkout from here on.

    Args:
        checkout: its folder.
        absent: packages it imports at its top and does not need for what is measured: where one is not installed, what
            is imported of it raises ImportError when it is called.
        bare: packages of the checkout whose `__init__` is not run, since it imports all that is beside them.
    """
    sys.path.insert(0, str(checkout))
    for name in bare:
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
    sys.meta_path.append(_Absent(frozenset(absent)))


@contextmanager
def arguments(words: Sequence[str]) -> Iterator[None]:
    """What is parsed inside sees these words on the command line."""
    before = sys.argv
    sys.argv = ["official", *words]
    try:
        yield
    finally:
        sys.argv = before


class _Absent(MetaPathFinder, Loader):
    """Finds modules of named packages that nobody else finds."""

    def __init__(self, packages: frozenset[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec for a module of those packages."""
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in self.packages else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module in which every name is a class that cannot be called."""
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


class _AbsentModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: Any, **__: Any) -> None:
            raise ImportError(f"{self.__name__}.{name} was called, and {self.__name__.partition('.')[0]} is missing")

        return type(name, (), {"__init__": refuse})
