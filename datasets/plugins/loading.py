"""Importing encoders: each file of a user's in a namespace of its own, so that two files' helpers of one name stay
apart.

A file is imported as `archrank_plugin_<hash>.<its package>.<its name>`. What it imports from its own surroundings,
relatively or plainly, then or later, becomes a module below the same prefix; everything else is imported as ever. The
process's state is put back afterwards.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from archrank.datasets.plugins.identity import built_on, source_hash
from archrank.datasets.plugins.process_state import unchanged
from archrank.datasets.plugins.syntax import INSTALLED, package_root

PREFIX = "archrank_plugin_"


@dataclass
class Namespace:
    """The modules of one plug-in file. changed: process state that importing it had changed. unfollowed: files it runs
    that its hash leaves out."""

    name: str
    path: Path
    module: ModuleType | None = None
    path_before: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    changed: list[str] = field(default_factory=list)
    unfollowed: list[Path] = field(default_factory=list)

    def folders(self, name: str) -> list[str]:
        """Where a top-level module of that name is looked for: its own folders and, before and after them, what the
        plug-in put on `sys.path`."""
        own = [folder for folder in (package_root(self.path), self.path.parent) if folder.name not in INSTALLED]
        own += [above.parent for above in self.path.parents if name and above.name == name]
        first = [*takewhile(lambda entry: entry not in self.path_before, sys.path)]
        last = [entry for entry in sys.path if entry not in self.path_before and entry not in first]
        return [*dict.fromkeys([*first, *map(str, own), *last, *sys.modules[self.name].__path__])]

    def owns(self, name: str, importer: str | None) -> bool:
        """Whether a plainly named top-level module that `importer` (a file) asks for is the plug-in's own."""
        if name in sys.stdlib_module_names or name == "archrank":
            return False
        folders = self.folders(name)
        spec = PathFinder.find_spec(f"{self.name}.{name}", folders)
        if spec is None or (spec.origin is not None and spec.origin == importer):
            return False
        if spec.origin is None and _importable(
            name
        ):  # a folder without `__init__.py`, which any real module goes before
            return False
        sys.modules[self.name].__path__ = folders
        return True

    def builtins(self) -> dict[str, Any]:
        """Python's builtins with an `__import__` that finds the plug-in's own modules first."""

        def find(
            name: str,
            globals: Mapping[str, Any] | None = None,
            locals: Mapping[str, Any] | None = None,
            fromlist: Sequence[str] = (),
            level: int = 0,
        ) -> ModuleType:
            top = name.partition(".")[0]
            if level or not self.owns(top, (globals or {}).get("__file__")):
                return builtins.__import__(name, globals, locals, fromlist, level)
            if fromlist:
                return builtins.__import__(f"{self.name}.{name}", globals, locals, fromlist, 0)
            importlib.import_module(f"{self.name}.{name}")
            return sys.modules[f"{self.name}.{top}"]

        return vars(builtins) | {"__import__": find}


_namespaces: dict[str, Namespace] = {}
_changed_by: dict[
    str, list[str]
] = {}  # a plug-in's module of an installed package: the process state that importing it had changed


class _Loader(SourceFileLoader):
    """Runs a module with the builtins of its plug-in, from its source as it is now: a kept byte code may be that of an
    earlier second."""

    def exec_module(self, module: ModuleType) -> None:
        space = _namespaces[module.__name__.partition(".")[0]]
        vars(module)["__builtins__"] = space.builtins()
        exec(compile(self.get_data(self.path), self.path, "exec", dont_inherit=True), vars(module))


class _Finder:
    """Finds modules below a plug-in's prefix."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


def import_file(path: Path) -> ModuleType:
    """The module of a plug-in's file, imported once for each state of its source. Raises whatever it raises."""
    space = namespace(path)
    if space.module is None:
        if _Finder not in sys.meta_path:
            sys.meta_path.insert(0, _Finder)
        importlib.invalidate_caches()
        package = ModuleType(space.name)
        package.__path__ = []
        others = {*sys.modules}
        sys.modules[space.name] = package
        _namespaces[space.name] = space
        try:
            with unchanged() as space.changed:
                package.__path__ = space.folders("")
                try:
                    space.module = _import_main(space)
                finally:
                    package.__path__ = space.folders("")
        except BaseException:
            _forget(name for name in [*sys.modules] if name.partition(".")[0] == space.name)
            del _namespaces[space.name]
            raise
        finally:
            # What it imported by a computed name, from folders of its own, goes too: the next plug-in may have others
            # of the same name.
            computed = {
                name: sys.modules[name]
                for name in {*sys.modules} - others
                if name.partition(".")[0] not in {space.name, "archrank", *sys.stdlib_module_names}
                and _lies_in(sys.modules[name], package.__path__)
            }
            _forget(computed)
        own = [module for name, module in sys.modules.items() if name.startswith(f"{space.name}.")]
        files = {Path(file) for module in [*own, *computed.values()] if (file := getattr(module, "__file__", None))}
        space.unfollowed = sorted(files - {*built_on(path)})
    return space.module


def namespace(path: Path) -> Namespace:
    """The namespace of a plug-in's file, loaded or not."""
    name = f"{PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{source_hash(path)[:12]}"
    return _namespaces.get(name) or Namespace(name, path)


def import_module(name: str) -> ModuleType:
    """A module of an installed package, or of one on `sys.path`. Raises whatever it raises."""
    if name.startswith("archrank.") or name in sys.modules:
        return importlib.import_module(name)
    with unchanged() as _changed_by[name]:
        return importlib.import_module(name)


def effects(path: Path, module: str | None) -> list[str]:
    """What importing a plug-in did beside defining it, a sentence each: process state that it changed, and files that
    its hash leaves out."""
    space = namespace(path)
    changed = _changed_by.get(module, []) if module else space.changed
    said = [f"importing it changed the process ({', '.join(changed)}); that was put back"] if changed else []
    return said + [
        f"it runs {file}, which is outside what its source hash covers: an edit there trains nothing anew"
        for file in space.unfollowed
    ]


def _import_main(space: Namespace) -> ModuleType:
    parents = space.path.parent.relative_to(package_root(space.path)).parts
    parent = importlib.import_module(".".join([space.name, *parents]))
    if space.path.name == "__init__.py":
        return parent
    name = f"{parent.__name__}.{space.path.stem.replace('.', '_')}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, space.path, loader=_Loader(name, str(space.path)))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _lies_in(module: ModuleType, folders: Sequence[str]) -> bool:
    file = getattr(module, "__file__", None)
    return (
        file is not None
        and not {*Path(file).parts} & {*INSTALLED}
        and any(Path(file).is_relative_to(folder) for folder in folders if folder)
    )


def _forget(names: Any) -> None:
    for name in [*names]:
        del sys.modules[name]
