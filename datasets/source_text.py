"""What Python source text says of a definition: its name, summary and keyword-only options. Nothing is imported, so
nobody's code runs."""

from __future__ import annotations

import ast
import json
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union

from archrank.datasets.errors import ArchrankError, unknown
from archrank.datasets.io.paths import is_file, is_folder

PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}
MOST_BYTES = 8 << 20
SUMMARIES = ("summary", "description", "title")


@dataclass(frozen=True)
class Option:
    """A keyword-only argument.

    type: what its annotation stands for; None unless it is made of int, float, bool, str, Literal, tuple, list and `|`.
    default: its value, or its text where it is no literal; None without one. required: whether it has no default.
    """

    type: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class Definition:
    """A class, function or record at the top of a module.

    object: its name there. marker, name: the call that registers it, such as `@loss("hinge")` or `KENDALL =
    Metric("kendall", ...)`; empty without one. summary: the first line of its docstring; of a record a literal argument
    summary, description or title, or the first line of the text that follows it. options: by name.
    words: further keyword arguments of that call, those that are literals.
    """

    object: str
    marker: str = ""
    name: str = ""
    summary: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    words: Mapping[str, Any] = field(default_factory=dict)


def summary(doc: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(doc.strip().split("\n\n")[0].split())


def definitions(path: Path) -> list[Definition]:
    """Every definition at the top of a source file, in its order. ArchrankError, with the line, for a file that is no
    Python."""
    return list(_definitions(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=256)
def _definitions(path: Path, _modified: int) -> tuple[Definition, ...]:
    tree = parsed(path)
    constants = literals(tree)
    definitions = []
    for node, following in zip(tree.body, [*tree.body[1:], None]):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            call = next((call for call in node.decorator_list if _marking(call)[0]), None)
            marker, name = _marking(call) if call is not None else ("", "")
            doc = (ast.get_docstring(node) or "").strip()
            options = keyword_options(node, constants)
            definitions.append(Definition(node.name, marker, name, summary(doc), options, _words(call)))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                definitions.append(
                    Definition(target.id, *_marking(node.value), _stated_summary(node.value) or _text_of(following))
                )
    return tuple(definitions)


def mentions(path: Path, markers: Sequence[str]) -> bool:
    """Whether the text of a file calls any of `markers` at all: parsing one that does not takes longer than reading
    it."""
    text = path.read_bytes()
    return any(f"{marker}(".encode() in text for marker in markers)


def parsed(path: Path, what: str = "file") -> ast.Module:
    """The syntax tree of a file. ArchrankError, one line, if it is missing, no plain file, too large or no Python.
    what: the file, in messages."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        raise ArchrankError(f"{what} {path} does not exist") from None
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
        raise ArchrankError(f"{what} {path} is no plain file of at most {MOST_BYTES >> 20} MiB")
    return _parsed(path, what, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _parsed(path: Path, what: str, _modified: int, _size: int) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ArchrankError(f"{what} {path}{f', line {error.lineno}' if error.lineno else ''}: {error.msg}") from None
    except OSError as error:
        raise ArchrankError(f"{what} {path} cannot be read ({error.strerror})") from None
    except (RecursionError, MemoryError):
        raise ArchrankError(f"{what} {path}: an expression is nested too deeply to be read") from None
    except ValueError as error:  # null bytes, or bytes that are not in the file's encoding
        raise ArchrankError(f"{what} {path}: {error}") from None


def _marking(node: ast.expr) -> tuple[str, str]:
    """`("loss", "hinge")` of `loss("hinge", ...)`; empty texts for anything else."""
    if not isinstance(node, ast.Call):
        return "", ""
    called = node.func
    marker = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    first = node.args[0] if node.args else next((word.value for word in node.keywords if word.arg == "name"), None)
    return (marker, first.value) if isinstance(first, ast.Constant) and isinstance(first.value, str) else ("", "")


def _words(node: ast.expr | None) -> dict[str, Any]:
    """The literal keyword arguments of a call."""
    return {
        word.arg: word.value.value
        for word in getattr(node, "keywords", ())
        if word.arg is not None and isinstance(word.value, ast.Constant)
    }


def _stated_summary(node: ast.expr) -> str:
    stated = {
        word.arg: word.value.value for word in getattr(node, "keywords", ()) if isinstance(word.value, ast.Constant)
    }
    return next((str(stated[name]) for name in SUMMARIES if name in stated), "")


def _text_of(node: ast.stmt | None) -> str:
    """The summary of a statement that is nothing but a text, as it documents the assignment before it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return summary(node.value.value)
    return ""


def literals(tree: ast.Module) -> dict[str, Any]:
    """Names that the top of a module gives a literal value, such as `POSITIONS = 600`."""
    values: dict[str, Any] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            try:
                values[name] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError):
                values.pop(name, None)
    return values


def keyword_options(node: ast.ClassDef | ast.FunctionDef, constants: Mapping[str, Any]) -> dict[str, Option]:
    """The keyword-only arguments of a function, or of a class's `__init__`. constants: see `literals`."""
    function: ast.stmt | None = node
    if isinstance(node, ast.ClassDef):
        function = next(
            (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
        )
    if not isinstance(function, ast.FunctionDef):
        return {}
    options = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults):
        value: Any = None
        if default is not None:
            try:
                value = ast.literal_eval(default)
            except ValueError:
                text = ast.unparse(default)
                value = constants.get(text, text)
        try:
            kind = annotated(argument.annotation)
        except Unknown:
            kind = None
        options[argument.arg] = Option(kind, value, default is None)
    return options


class Unknown(Exception):
    """What an expression stands for cannot be told from the text."""


def annotated(node: ast.expr | None, value: Callable[[ast.expr], Any] = ast.literal_eval) -> Any:
    """The type that an annotation stands for: int, float, bool, str, None, Literal, tuple, list, Optional, Union and
    `|` of these.

    value: gives the literals inside `Literal[...]`, of an expression; where it knows constants, by their names too.
    None for no annotation. Raises Unknown for any other.
    """
    if node is None:
        return None
    if isinstance(node, ast.Constant):
        if node.value is None:
            return type(None)
        if isinstance(node.value, str):
            try:
                return annotated(ast.parse(node.value, mode="eval").body, value)
            except SyntaxError:
                raise Unknown from None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[annotated(node.left, value), annotated(node.right, value)]  # noqa: UP007
    name = ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]
    if not isinstance(node, ast.Subscript):
        if name in PLAIN:
            return PLAIN[name]
        raise Unknown
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        try:
            values = [value(item) for item in inner]
        except ValueError:  # a name, whose value stands elsewhere
            raise Unknown from None
        return Literal[tuple(item for choice in values for item in (choice if isinstance(choice, tuple) else [choice]))]
    if name == "Optional":
        return Union[annotated(inner[0], value), None]  # noqa: UP007
    if name == "Union":
        return Union[tuple(annotated(item, value) for item in inner)]  # noqa: UP007
    if name.lower() == "list":
        return list[annotated(inner[0], value)]  # type: ignore[misc]
    if name.lower() == "tuple":
        ends = isinstance(inner[-1], ast.Constant) and inner[-1].value is Ellipsis
        if ends:
            return tuple[annotated(inner[0], value), ...]  # type: ignore[misc]
        return tuple[tuple(annotated(item, value) for item in inner)]  # type: ignore[misc]
    raise Unknown


def checked_options(what: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with values brought to their declared types, without those that equal their default, sorted by name.

    what: such as "encoder gcn", for messages. ArchrankError for a misspelt or missing option, a wrong value, or one
    that JSON cannot hold.
    """
    from pydantic import TypeAdapter, ValidationError

    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key not in options:
            raise unknown(f"option of {what}", key, options)
        option = options[key]
        try:
            checked[key] = value if option.type is None else TypeAdapter(option.type).validate_python(value)
            json.dumps(checked[key], allow_nan=False)
        except ValidationError as error:
            raise ArchrankError(f"{what}: option {key}={value!r}: {error.errors()[0]['msg']}") from None
        except (TypeError, ValueError):
            raise ArchrankError(
                f"{what}: option {key}={value!r} cannot be kept in a trial's record; "
                "write a finite number, a word, true, null or (1,2)"
            ) from None
    if missing := [key for key, option in options.items() if option.required and key not in given]:
        raise ArchrankError(f"{what}: option '{missing[0]}' has no default; say [{missing[0]}=...]")
    return {
        key: value for key, value in sorted(checked.items()) if options[key].required or value != options[key].default
    }


def module_file(module: str) -> Path | None:
    """The source file of an importable module, found without importing it or the packages around it; None where there
    is none."""
    top, *parts = module.split(".")
    file, folders = _located(top, None)
    for depth, part in enumerate(parts):
        inside = [
            path
            for folder in folders
            for path in (folder / part / "__init__.py", folder / f"{part}.py")
            if is_file(path)
        ]
        spaces = [folder / part for folder in folders if is_folder(folder / part)]  # packages without __init__.py
        if inside:
            file, folders = inside[0], [inside[0].parent] if inside[0].name == "__init__.py" else []
        elif spaces:
            file, folders = None, spaces
        else:  # a package whose parts lie elsewhere, as an editable installation has it
            file, folders = _located(".".join([top, *parts[: depth + 1]]), folders)
    return file


def _located(module: str, folders: list[Path] | None) -> tuple[Path | None, list[Path]]:
    """The file of a module and the folders of its parts, as the finders of `sys.meta_path` say."""
    places = None if folders is None else [str(folder) for folder in folders]
    specs = (finder.find_spec(module, places) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((spec for spec in specs if spec is not None), None)
    if spec is None:
        return None, []
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return file, [Path(place) for place in spec.submodule_search_locations or ()]
