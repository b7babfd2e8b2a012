"""Which encoders there are, read from their source text: listing and planning import neither torch nor anybody's code.

A reference to an encoder is a registered name, a glob over them, `file.py:Class`, `package.module:Class`, or a class.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Union

from archrank.datasets.errors import ArchrankError, unknown
from archrank.encoders.registry import Mark

HERE = Path(__file__).resolve().parent
# No encoder is built on these, whichever imports them; nor on the docstrings that name a family's folder.
MARKS = frozenset([HERE / "registry.py", HERE / "catalog.py", *HERE.rglob("__init__.py")])
HOOKS = ("paper_recipe", "paper_config", "twins", "auxiliary_loss", "compare")
PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": None}


@dataclass(frozen=True)
class Option:
    """A keyword-only argument of an encoder: its type (None where the annotation is not a plain one) and default as text."""

    type: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder as its source text describes it."""

    name: str
    learned: bool
    family: str
    summary: str
    path: Path
    object: str
    module: str | None
    origin: str
    options: dict[str, Option] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    pretrained: bool = False
    ranks: bool = False
    doc: str = ""

    @property
    def source(self) -> str:
        """sha256 over the encoder's file and every file it is built on, however deep: of `archrank.encoders`, and of its own package or folder."""
        return _source_hash(self.path)

    def load(self) -> Any:
        """Import the encoder's module and return the class or function. ArchrankError, one line, if that fails."""
        try:
            module = importlib.import_module(self.module) if self.module else _import_file(self.path)
            return getattr(module, self.object)
        except ArchrankError:
            raise
        except (Exception, SystemExit) as error:
            raise ArchrankError(f"encoder {self.path.name}:{self.object} cannot be imported{where(error, self.path)}: "
                                f"{type(error).__name__}: {error}") from error

    def validate(self, config: dict[str, Any]) -> dict[str, Any]:
        """`config` with values brought to their declared types; ArchrankError for a misspelt option or a wrong value."""
        from pydantic import TypeAdapter, ValidationError

        checked: dict[str, Any] = {}
        for key, value in config.items():
            if key not in self.options:
                raise unknown(f"option of encoder {self.name}", key, self.options)
            option = self.options[key]
            try:
                checked[key] = value if option.type is None else TypeAdapter(option.type).validate_python(value)
                json.dumps(checked[key], allow_nan=False)
            except ValidationError as error:
                problem = error.errors()[0]["msg"]
                raise ArchrankError(f"encoder {self.name}: option {key}={value!r}: {problem}") from None
            except (TypeError, ValueError):
                raise ArchrankError(f"encoder {self.name}: option {key}={value!r} cannot be kept in a trial's record; "
                                    "write a finite number, a word, true, null or (1,2)") from None
        if missing := [key for key, option in self.options.items() if option.required and key not in config]:
            raise ArchrankError(f"encoder {self.name}: option '{missing[0]}' has no default; say {self.name}[{missing[0]}=...]")
        return {key: value for key, value in sorted(checked.items()) if value != self.options[key].default}


@lru_cache(maxsize=1)
def builtin() -> dict[str, EncoderInfo]:
    """The encoders of this package by name."""
    found: dict[str, EncoderInfo] = {}
    for path in sorted(HERE.glob("*/*.py"), key=lambda path: path.stem):
        for info in scan(path, module=f"archrank.encoders.{path.parent.name}.{path.stem}", origin="built-in"):
            found[info.name] = info
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def plugins() -> dict[str, EncoderInfo]:
    """Encoders that installed packages offer through the entry-point group `archrank.encoders`."""
    found: dict[str, EncoderInfo] = {}
    for point in entry_points(group="archrank.encoders"):
        info = _from_module(point.module, point.attr, origin=f"plug-in {point.dist.name if point.dist else point.module}")
        found[info.name] = info
    return found


def known() -> dict[str, EncoderInfo]:
    """Every encoder that has a name: built-in and installed."""
    return builtin() | plugins()


def find(reference: str | type | Any) -> list[EncoderInfo]:
    """The encoders that a reference means (several for a glob); ArchrankError if none."""
    if not isinstance(reference, str):
        return [_from_object(reference)]
    if ":" in reference:
        place, _, name = reference.rpartition(":")
        return [_from_file(Path(place), name) if place.endswith(".py") else _from_module(place, name, origin="module")]
    everything = known()
    if any(sign in reference for sign in "*?"):
        if matched := [info for name, info in everything.items() if fnmatch.fnmatchcase(name, reference)]:
            return matched
        raise unknown("encoder", reference, everything)
    if reference.endswith(".py"):
        raise ArchrankError(f"encoder '{reference}': name the class too, as in {reference}:MyEncoder")
    if reference not in everything:
        raise unknown("encoder", reference, everything)
    return [everything[reference]]


def scan(path: Path, module: str | None, origin: str, wanted: str | None = None) -> list[EncoderInfo]:
    """Encoders defined at the top of a source file: the decorated ones, or the one called `wanted` whatever its decorators."""
    tree = _tree(path)
    infos = []
    constants = _constants(tree)
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        mark = _decoration(node)
        if node.name != wanted and (wanted is not None or mark is None):
            continue
        mark = mark or Mark(node.name, isinstance(node, ast.ClassDef), "yours")
        doc = (ast.get_docstring(node) or "").strip()
        infos.append(EncoderInfo(mark.name, mark.learned, mark.family, doc.split("\n")[0], path.resolve(), node.name, module, origin,
                                 _options(node, constants), _hooks(node), mark.pretrained, mark.ranks, doc))
    return infos


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except FileNotFoundError:
        raise ArchrankError(f"encoder file {path} does not exist") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ArchrankError(f"encoder file {path}{line}: {getattr(error, 'msg', error)}") from None


def _decoration(node: ast.ClassDef | ast.FunctionDef) -> Mark | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            called = decorator.func
            kind = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if kind in ("encoder", "encoding") and decorator.args and isinstance(decorator.args[0], ast.Constant):
                words = {str(word.arg): word.value.value for word in decorator.keywords if isinstance(word.value, ast.Constant)}
                return Mark(str(decorator.args[0].value), kind == "encoder", str(words.get("family", "yours")),
                            bool(words.get("pretrained", False)), bool(words.get("ranks", False)))
    return None


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Names that the top of a module gives a literal value, such as `POSITIONS = 600`."""
    found: dict[str, Any] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            try:
                found[name] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError):
                found.pop(name, None)
    return found


def _options(node: ast.ClassDef | ast.FunctionDef, constants: dict[str, Any]) -> dict[str, Option]:
    function: ast.stmt | None = node
    if isinstance(node, ast.ClassDef):
        function = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
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
        options[argument.arg] = Option(_type(argument.annotation), value, default is None)
    return options


def _type(node: ast.expr | None) -> Any:
    """The Python type a plain annotation stands for, or None when it is not one of int, float, bool, str, Literal, tuple, |."""
    if isinstance(node, ast.Name) and node.id in PLAIN:
        return PLAIN[node.id]
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "Literal":
            return Literal[tuple(ast.literal_eval(item) for item in inner)]
        if node.value.id in ("tuple", "list") and (item := _type(inner[0])) is not None:
            return tuple[item, ...] if node.value.id == "tuple" else list[item]  # type: ignore[valid-type]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        parts = [type(None) if isinstance(p, ast.Constant) and p.value is None else _type(p) for p in (node.left, node.right)]
        return None if None in parts else Union[tuple(parts)]  # noqa: UP007
    return None


def _hooks(node: ast.ClassDef | ast.FunctionDef) -> tuple[str, ...]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    names = {item.name for item in body if isinstance(item, ast.FunctionDef)}
    return tuple(hook for hook in HOOKS if hook in names)


def _from_file(path: Path, name: str) -> EncoderInfo:
    if found := scan(path, None, "file", wanted=name):
        return found[0]
    have = [info.object for info in scan(path, None, "file")]
    raise unknown(f"encoder in {path}", name, have)


def _from_module(module: str, name: str, origin: str) -> EncoderInfo:
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # Whatever the packages it lies in do when they are imported.
        spec = None
    if spec is None or not spec.origin:
        raise ArchrankError(f"encoder '{module}:{name}': there is no importable module '{module}'")
    if found := scan(Path(spec.origin), module, origin, wanted=name):
        return found[0]
    raise ArchrankError(f"encoder '{module}:{name}': the module defines no '{name}' at its top level")


def _from_object(thing: Any) -> EncoderInfo:
    if not callable(thing) or not hasattr(thing, "__qualname__"):
        raise ArchrankError(f"encoder {thing!r}: give a name, a class, or file.py:Class")
    try:
        path = Path(inspect.getfile(thing))
        found = scan(path, None, "class", wanted=thing.__name__)
    except (OSError, TypeError):
        found = []
    if not found:
        raise ArchrankError(f"encoder {thing.__name__}: its source file cannot be found; define it at the top level of a .py file")
    module = thing.__module__ if thing.__module__ != "__main__" and "." in thing.__module__ else None
    return EncoderInfo(**{**found[0].__dict__, "module": module})


def _import_file(path: Path) -> Any:
    name = f"archrank_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{_source_hash(path)[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def where(error: BaseException, path: Path) -> str:
    """` (my_encoder.py, line 22)`: the last line of the file that the error passed through; nothing if it passed through none."""
    step, found = error.__traceback__, ""
    while step is not None:
        if Path(step.tb_frame.f_code.co_filename).resolve() == path:
            found = f" ({path.name}, line {step.tb_lineno})"
        step = step.tb_next
    return found


def _source_hash(path: Path) -> str:
    return _hash_of(tuple((part, part.stat().st_mtime_ns) for part in _built_on(path)))


@lru_cache(maxsize=256)
def _hash_of(parts: tuple[tuple[Path, int], ...]) -> str:
    return hashlib.sha256(b"\0".join(part.read_bytes() for part, _ in parts)).hexdigest()


def _built_on(path: Path) -> list[Path]:
    """The file and, sorted, the files that it imports, directly or not: of archrank.encoders, then of its own package or folder."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        if (current := waiting.pop()) not in seen:
            seen.add(current)
            waiting += _imported(current, current.stat().st_mtime_ns)
    return [path, *sorted(seen - {path}, key=lambda part: (not part.is_relative_to(HERE), part))]


@lru_cache(maxsize=1024)
def _imported(path: Path, _modified: int) -> list[Path]:
    found = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            level, names = 0, [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            level, names = node.level, [node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if (place := _place(path, level, [part for part in name.split(".") if part])) is not None:
                found += [file for file in (place.with_name(f"{place.name}.py"), place / "__init__.py") if file.is_file() and file not in MARKS]
    return found


def _place(path: Path, level: int, parts: Sequence[str]) -> Path | None:
    """Where a module lies (without suffix) that a file imports, if it is one of archrank.encoders or of the file's own package or folder."""
    if level:
        return path.parents[min(level, len(path.parents)) - 1].joinpath(*parts)
    if parts[0] == "archrank":
        return HERE.joinpath(*parts[2:]) if parts[1:2] == ["encoders"] else None
    if package := next((folder for folder in path.parents if folder.name == parts[0]), None):
        return package.joinpath(*parts[1:])
    return None if path.parent.name in ("site-packages", "dist-packages") else path.parent.joinpath(*parts)
