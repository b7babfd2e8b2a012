"""Encoders as their source text describes them: listing and planning import neither torch nor anybody's code.

What a class inherits is read from the text of its bases, where their files are followed. What the text cannot say for
certain is named in `open`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from archrank.datasets.errors import unknown
from archrank.datasets.plugins.syntax import Definition, bindings, lookup, tree, value
from archrank.datasets.source_text import Option, Unknown, annotated, summary
from archrank.encoders.catalog.info import HOOKS, EncoderInfo
from archrank.encoders.registry import Mark

# Bases that bring neither options nor hooks, and decorators that leave both alone.
DECORATORS = ("encoder", "encoding", "portfolio")
PLAIN_BASES = ("nn.Module", "torch.nn.Module", "Module", "object", "ABC", "abc.ABC")
PLAIN_DECORATORS = ("torch.no_grad", "no_grad", "final", "typing.final")


@dataclass
class _Reading:
    """What has been read of one class or function: options and hooks (the nearest class that has one decides), and what
    stays open."""

    options: dict[str, Option] = field(default_factory=dict)
    hooks: dict[str, bool] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    limits: str | None = None  # where the function lies that its `supports` names
    passes_on: bool = True  # whether keyword arguments still reach the next class's `__init__`


def scan(path: Path, module: str | None, origin: str, only: str | None = None) -> list[EncoderInfo]:
    """Encoders at the top of a source file: the decorated classes and functions, or what is called `only` whatever it
    is.

    ArchrankError for a file that cannot be read; an empty list where there is none.
    """
    path = path.resolve()
    if only is not None:
        statement = bindings(path).get(only)
        if statement is None:
            return []
        if not isinstance(statement, Definition):
            return [EncoderInfo(only, True, "yours", "", path, only, module, origin, open=f"what {only} is")]
        return [_describe(path, statement, module, origin)]
    return [
        _describe(path, node, module, origin)
        for node in tree(path).body
        if isinstance(node, Definition) and _decorators(node)
    ]


def named(path: Path, module: str | None, origin: str, name: str) -> EncoderInfo:
    """The encoder of that name in a file; ArchrankError if there is none."""
    if infos := scan(path, module, origin, only=name):
        return infos[0]
    raise unknown(f"encoder in {module or path}", name, [info.object for info in scan(path, module, origin)])


def _describe(path: Path, node: Definition, module: str | None, origin: str) -> EncoderInfo:
    reading = _Reading()
    mark, limits = _mark(path, node, reading)
    _read(path, node, reading, 16)
    limits = limits or reading.limits or None
    doc = (ast.get_docstring(node) or "").strip()
    hooks = tuple(hook for hook in HOOKS if reading.hooks.get(hook))
    return EncoderInfo(
        mark.name,
        mark.learned,
        mark.family,
        summary(doc),
        path,
        node.name,
        module,
        origin,
        reading.options,
        hooks,
        mark.pretrained,
        mark.ranks,
        mark.portfolio,
        mark.head,
        doc,
        limits,
        "; ".join(dict.fromkeys(reading.open)),
    )


def _decorators(node: Definition) -> list[ast.Call]:
    return [
        call
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in DECORATORS
    ]


def _mark(path: Path, node: Definition, reading: _Reading) -> tuple[Mark, str | None]:
    """What the decorator says, and where the function lies that its `supports` names."""
    mark, limits = Mark(node.name, isinstance(node, ast.ClassDef), "yours"), None
    for call in _decorators(node):
        words: dict[str, Any] = {}
        for name, given in [*zip(["name"], call.args), *((str(word.arg), word.value) for word in call.keywords)]:
            try:
                if name == "supports":
                    limits = _function(path, ast.unparse(given))
                elif name not in ("blocks", "columns"):  # which planning does not ask
                    words[name] = value(path, given)
            except Unknown:
                reading.open.append(f"the {name} it is registered with")
        decorator = ast.unparse(call.func).rpartition(".")[2]
        mark = Mark(
            str(words.get("name", node.name)),
            decorator == "encoder",
            str(words.get("family", "yours")),
            bool(words.get("pretrained", False)),
            bool(words.get("ranks", decorator == "portfolio")),
            head=str(words.get("head", "")),
            portfolio=decorator == "portfolio",
        )
    return mark, limits


def _function(path: Path, name: str) -> str:
    """`module:name` of a function that a file imports from a module by its whole name; `:name` of any other."""
    statement = bindings(path).get(name)
    if not isinstance(statement, ast.ImportFrom) or statement.level:
        return f":{name}"
    original = next((alias.name for alias in statement.names if alias.asname == name), name)
    return f"{statement.module}:{original}"


def _named_function(path: Path, given: ast.expr | None) -> str:
    """The same of `staticmethod(name)`, which a class assigns; empty where it does otherwise, and is asked itself."""
    if not (isinstance(given, ast.Call) and ast.unparse(given.func) == "staticmethod" and len(given.args) == 1):
        return ""
    place = _function(path, ast.unparse(given.args[0]))
    return "" if place.startswith(":") else place


def _read(path: Path, node: Definition, reading: _Reading, depth: int) -> None:
    for decorator in node.decorator_list:
        called = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if called.rpartition(".")[2] not in DECORATORS and called not in PLAIN_DECORATORS:
            reading.open.append(f"what @{called} makes of it")
    if isinstance(node, ast.FunctionDef):
        _options(path, node, reading)
        return
    for name, given in _members(node, reading):
        if name in HOOKS:
            reading.hooks.setdefault(
                name, given is None or not (isinstance(given, ast.Constant) and given.value is None)
            )
            if name == "supports" and reading.limits is None:
                reading.limits = _named_function(path, given)
        if name == "__init__" and reading.passes_on:
            init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name), None)
            if init is None or init.decorator_list:
                reading.open.append("its options")
            else:
                _options(path, init, reading)
                reading.passes_on = init.args.kwarg is not None
    if any(word.arg == "metaclass" for word in node.keywords):
        reading.open.append("what its metaclass does")
    for base in node.bases:
        _inherit(path, base, reading, depth)


def _members(node: ast.ClassDef, reading: _Reading) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a class body binds, and the expression where one is assigned."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            yield item.name, None
        elif isinstance(item, (ast.Assign, ast.AnnAssign)) and item.value is not None:
            for target in item.targets if isinstance(item, ast.Assign) else [item.target]:
                if isinstance(target, ast.Name):
                    yield target.id, item.value
        elif isinstance(item, (ast.Import, ast.ImportFrom, ast.ClassDef)):
            yield from ((alias.asname or alias.name, None) for alias in getattr(item, "names", []))
        elif not isinstance(item, (ast.Expr, ast.Pass, ast.AnnAssign)):
            reading.open.append("what its body defines under conditions")


def _inherit(path: Path, base: ast.expr, reading: _Reading, depth: int) -> None:
    name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
    if name in PLAIN_BASES or name.rpartition(".")[2] in ("Generic", "Protocol"):
        return
    place = lookup(path, name) if depth else None
    if place is not None and isinstance(place[1], ast.ClassDef):
        _read(place[0], place[1], reading, depth - 1)
    else:
        reading.open.append(f"what it inherits from {name}")


def _options(path: Path, function: ast.FunctionDef, reading: _Reading) -> None:
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults):
        kind: Any = None
        given: Any = None
        try:
            kind = annotated(argument.annotation, partial(value, path))
        except Unknown:
            reading.open.append(f"the type of option {argument.arg}")
        try:
            given = None if default is None else value(path, default)
        except Unknown:
            reading.open.append(f"the default of option {argument.arg}")
            given = ast.unparse(default) if default is not None else None
        reading.options.setdefault(
            argument.arg, Option(optional(kind, default is not None and given is None), given, default is None)
        )


def optional(kind: Any, none: bool) -> Any:
    """A type, or that or None where None is the default."""
    return kind | None if none and kind is not None else kind
