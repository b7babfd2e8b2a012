"""Registries: what is listed without an import, what an entry point brings, and each error in one line."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from archrank.datasets import registry as registry_module
from archrank.datasets.errors import ArchrankError
from archrank.datasets.registry import Registry
from archrank.datasets.source_text import definitions, module_file


@dataclass(frozen=True)
class Colour:
    name: str
    value: int
    summary: str = ""


HOME = '''
from tests.datasets.test_registry import Colour

SHADES = 3
RED = Colour("red", 1, summary="the colour "
             "of blood")
other = 3


def shade(name):
    return lambda function: Colour(name, function())


@shade("blue")
def sky(*, depth: int = SHADES, tone: str | None = None):
    """The colour of the sky.

    More."""
    return 2
'''
PLUG_IN = "from tests.datasets.test_registry import Colour\nGREEN = Colour('green', 7, summary='of grass')\nNO_COLOUR = 3\nLISTED = []\n"


def install(folder: Path, module: str, text: str, points: str) -> None:
    """A package with entry points in `folder`, as pip would leave it there."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


@pytest.fixture
def colours(tmp_path, monkeypatch):
    """A registry whose home is `colour_home`, and a package that offers more."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry_module._every_point.cache_clear()
    (tmp_path / "colour_home.py").write_text(HOME)

    def make(points="green = colour_plug:GREEN\n", plug_in=PLUG_IN):
        install(tmp_path, "colour_plug", plug_in, f"[archrank.colours]\n{points}")
        importlib.import_module("colour_home")
        return Registry("colour", "colours", "colour_home", Colour, ("Colour", "shade"))

    yield make
    registry_module._every_point.cache_clear()
    for name in ("colour_home", "colour_plug"):
        sys.modules.pop(name, None)


def test_entries_are_described_without_an_import(colours):
    registry = colours()
    assert (
        list(registry) == ["red", "blue", "green"]
        and len(registry) == 3
        and "green" in registry
        and "pink" not in registry
    )
    entries = registry.entries
    assert [entry.summary for entry in entries.values()] == [
        "the colour of blood",
        "The colour of the sky.",
        "of grass",
    ]
    assert [entry.origin for entry in entries.values()] == ["built-in", "built-in", "plug-in colour_plug"]
    assert entries["blue"].marker == "shade" and entries["blue"].options["depth"].default == 3
    assert "colour_plug" not in sys.modules
    assert entries["red"].source == "" and len(entries["green"].source) == 64


def test_values_are_imported_when_they_are_asked_for(colours):
    registry = colours()
    assert registry["green"] == Colour("green", 7, "of grass") and registry["blue"].value == 2
    assert registry.get("pink") is None and registry.get("red").value == 1
    assert [value.value for value in registry.values()] == [1, 2, 7]


def test_options_are_typed(colours):
    entry = colours().find("blue")
    assert entry.validate({"depth": "5"}) == {"depth": 5} and entry.validate({"depth": 3}) == {}
    with pytest.raises(ArchrankError, match="colour blue: option depth='deep'"):
        entry.validate({"depth": "deep"})
    with pytest.raises(ArchrankError, match=r"unknown option of colour blue 'dept': did you mean depth\?"):
        entry.validate({"dept": 5})


def test_a_misspelt_name_gets_the_nearest(colours):
    registry = colours()
    with pytest.raises(ArchrankError, match=r"unknown colour 'gren': did you mean green"):
        registry["gren"]


@pytest.mark.parametrize(
    "point, name, said",
    [
        (
            "red = colour_plug:GREEN",
            "red",
            r"two entries are called colour 'red': colour_home:RED \(built-in\) and colour_plug:GREEN \(plug-in colour_plug\)",
        ),
        (
            "three = colour_plug:NO_COLOUR",
            "three",
            r"colour 'three' \(plug-in colour_plug\): colour_plug:NO_COLOUR is of type int; it must be of type Colour",
        ),
        (
            "gone = colour_plug:GONE",
            "gone",
            r"colour 'gone' \(plug-in colour_plug\) cannot be imported from colour_plug:GONE: AttributeError",
        ),
        ("away = no_such_place:X", "away", r"cannot be imported from no_such_place:X: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_one_line(colours, point, name, said):
    registry = colours(points=point + "\n")
    with pytest.raises(ArchrankError, match=said) as error:
        registry[name]
    assert "\n" not in str(error.value)


def test_a_plug_in_that_is_no_python_is_listed_and_fails_when_used(colours):
    registry = colours(plug_in="def (")
    assert "cannot be read" in registry.entries["green"].summary
    with pytest.raises(ArchrankError, match="SyntaxError"):
        registry["green"]
    assert registry["red"].value == 1


def test_an_object_is_named_by_its_place(colours, tmp_path):
    registry = colours()
    (tmp_path / "mine.py").write_text(PLUG_IN.replace("'green', 7", "'mine', 9"))
    assert registry[f"{tmp_path / 'mine.py'}:GREEN"].value == 9
    assert registry["colour_plug:GREEN"].value == 7
    with pytest.raises(ArchrankError, match=r"there is no file .*nobody\.py"):
        registry[f"{tmp_path / 'nobody.py'}:GREEN"]
    with pytest.raises(ArchrankError, match="there is no importable module nowhere_at_all"):
        registry["nowhere_at_all:GREEN"]


def test_a_module_is_found_without_importing_its_package(tmp_path, monkeypatch):
    (tmp_path / "loud" / "inner").mkdir(parents=True)
    (tmp_path / "loud" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "loud" / "inner" / "part.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert module_file("loud.inner.part") == tmp_path / "loud" / "inner" / "part.py"
    assert module_file("loud.nothing") is None
    assert module_file("archrank.datasets.errors").name == "errors.py"


@pytest.mark.parametrize(
    "text, said",
    [
        (b"\xef\xbb\xbfx = 1\n", None),
        (b"x = " + b"-" * 100_000 + b"1\n", "nested too deeply"),
        (b"x = '\xff'\n", "line 1"),
        (b"\x00", "null bytes"),
        (b"def f(*, kind: Literal[KINDS] = 1): pass\n", None),
    ],
)
def test_any_bytes_of_a_source_file_are_read_or_one_line(tmp_path, text, said):
    (tmp_path / "mine.py").write_bytes(text)
    if said is None:
        assert definitions(tmp_path / "mine.py")
    else:
        with pytest.raises(ArchrankError, match=said) as refused:
            definitions(tmp_path / "mine.py")
        assert "\n" not in str(refused.value)
