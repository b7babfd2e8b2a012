"""Encoders as the loaded object is: what its text leaves open, whether the two agree, and what it cannot hold."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.source_text import Option, Unknown, annotated, summary
from archrank.encoders.catalog.apart import apart
from archrank.encoders.catalog.info import HOOKS, EncoderInfo, where
from archrank.encoders.catalog.scanning import optional
from archrank.encoders.registry import MARK, Mark

if TYPE_CHECKING:
    from archrank.datasets.benchmark import Benchmark


def described(info: EncoderInfo) -> dict[str, Any]:
    """What the loaded object of an encoder is, in JSON's types: the fields of its mark, `hooks`, and per option its
    type and default as text."""
    thing = info.load()
    if not callable(thing):
        raise ArchrankError(f"encoder {info.place} is neither a class nor a function")
    learned = isinstance(thing, type)
    mark = vars(thing).get(MARK) if hasattr(thing, "__dict__") else None
    mark = mark or Mark(getattr(thing, "__name__", info.object), learned, "yours")
    doc = (inspect.getdoc(thing) if learned or inspect.isfunction(thing) else None) or ""
    hooks = [hook for hook in HOOKS if learned and getattr(thing, hook, None) is not None]
    options = [
        [
            parameter.name,
            _type_text(parameter.annotation),
            repr(parameter.default),
            parameter.default is parameter.empty,
        ]
        for parameter in _keywords(thing)
    ]
    return {
        "name": mark.name,
        "learned": mark.learned,
        "family": mark.family,
        "pretrained": mark.pretrained,
        "ranks": mark.ranks,
        "portfolio": mark.portfolio,
        "head": mark.head,
        "hooks": hooks,
        "options": options,
        "doc": doc,
    }


def read(info: EncoderInfo) -> EncoderInfo:
    """The encoder as its loaded object is. info.reach: where it is loaded."""
    said = described(info) if info.reach == "here" else apart().call(described, info, doing=f"encoder {info.place}")
    return replace(_with(info, said), open="")


def _with(info: EncoderInfo, said: dict[str, Any]) -> EncoderInfo:
    options = {
        name: Option(optional(_type(kind), default == "None"), _default(default), required)
        for name, kind, default, required in said["options"]
    }
    words = {
        name: said[name] for name in ("name", "learned", "family", "pretrained", "ranks", "portfolio", "head", "doc")
    }
    return replace(info, **words, summary=summary(said["doc"]), options=options, hooks=tuple(said["hooks"]))


def confirm(info: EncoderInfo) -> None:
    """ArchrankError, one line, if an encoder was planned from a text that says otherwise than its loaded object."""
    loaded = _with(info, described(info))
    for name in ("name", "learned", "family", "pretrained", "ranks", "portfolio", "head", "hooks", "options"):
        text, object = getattr(info, name), getattr(loaded, name)
        if text != object:
            if name == "hooks":
                what = ", ".join(sorted({*text} ^ {*object}))
            elif name == "options":
                what = ", ".join(sorted(key for key in {*text, *object} if text.get(key) != object.get(key)))
            else:
                what = str(object)
            raise ArchrankError(
                f"encoder {info.place}: the loaded {'class' if loaded.learned else 'function'} has other {name} than its text shows "
                f"({what}); say so where it is defined, so that a plan can read it"
            )


def unsupported(info: EncoderInfo, config: dict[str, Any], benchmark: Benchmark) -> str | None:
    """Why an encoder cannot hold a benchmark's architectures, in its own words (its `supports`), or None.

    A plug-in is asked only where its code may run (`info.reach`); a built-in encoder always, without importing the
    module it lies in where its `supports` is a function of another one.
    """
    if not (info.limits or "supports" in info.hooks):
        return None
    if info.origin == "built-in":
        module, _, function = (info.limits or "").partition(":")
        return (
            asked(getattr(import_module(module), function), config, benchmark)
            if module
            else ask(info, config, benchmark)
        )
    if info.reach == "text":
        return None
    return (
        ask(info, config, benchmark)
        if info.reach == "here"
        else apart().call(ask, info, config, benchmark, doing=f"encoder {info.place}")
    )


def ask(info: EncoderInfo, config: dict[str, Any], benchmark: Benchmark) -> str | None:
    """The same of a plug-in, by loading it. ArchrankError, one line, if its `supports` fails."""
    thing = info.load()
    try:
        answer = asked(getattr(thing, "supports", None) or getattr(thing, MARK).supports, config, benchmark)
        return None if answer is None else " ".join(str(answer).split())
    except (Exception, SystemExit) as error:
        raise ArchrankError(
            f"encoder {info.name}: its `supports` fails{where(error, info.path)}: {one_line(error)}"
        ) from error


def asked(hook: Callable[..., Any], config: dict[str, Any], benchmark: Benchmark) -> str | None:
    """What a `supports(space, ...)` answers; it is given the benchmark and the options that it names as parameters."""
    parameters = inspect.signature(hook).parameters
    return hook(
        benchmark.space,
        **{name: value for name, value in {"benchmark": benchmark, **config}.items() if name in parameters},
    )


def _keywords(thing: Any) -> list[inspect.Parameter]:
    """An encoder's keyword-only parameters, those of base classes included to which `**options` are handed on, with
    their types resolved."""
    functions = (
        [vars(cls)["__init__"] for cls in thing.__mro__ if "__init__" in vars(cls)]
        if isinstance(thing, type)
        else [thing]
    )
    keywords: dict[str, inspect.Parameter] = {}
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            break
        try:
            types = typing.get_type_hints(function)
        except Exception:  # names that only a type checker knows, and whatever else an annotation does
            types = {}
        for parameter in parameters:
            if parameter.kind is parameter.KEYWORD_ONLY:
                keywords.setdefault(
                    parameter.name, parameter.replace(annotation=types.get(parameter.name, parameter.annotation))
                )
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return [*keywords.values()]


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if type(annotation) is type else repr(annotation).replace("NoneType", "None")


def _type(text: str) -> Any:
    try:
        return None if text == "_empty" else annotated(ast.parse(text, mode="eval").body)
    except (Unknown, SyntaxError):
        return None


def _default(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
