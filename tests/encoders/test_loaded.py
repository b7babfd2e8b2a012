"""What an encoder's text says is what its object is, or the object is read; where that may run no code, nothing
runs."""

import sys

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.encoders import catalog
from archrank.encoders.catalog.reading import read
from archrank.eval.trials.specs import parse, parse_list

HEAD = "import functools\nfrom dataclasses import dataclass\nfrom typing import Any, Literal, Optional\nimport torch\nfrom torch import nn\nfrom archrank import encoder, encoding\n"
BASE = """
class Base(nn.Module):
    def __init__(self, space, *, dim: int = 16, layers: int = 2):
        super().__init__()
    def forward(self, graphs): ...
    def compare(self, a, b): ...
    @staticmethod
    def paper_recipe(space): return {}
"""


def info(folder, body, name="E", reach="text", files=()):
    for file, text in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    (folder / "e.py").write_text(HEAD + body)
    return catalog.find(f"{folder / 'e.py'}:{name}", reach)[0]


@pytest.mark.parametrize("name", catalog.builtin())
def test_the_text_of_a_built_in_encoder_leaves_nothing_open(name):
    text = catalog.builtin()[name]
    assert not text.open
    catalog.confirm(text)


@pytest.mark.parametrize(
    "body, files",
    [
        (BASE + "@encoder('e')\nclass E(Base): pass\n", ()),
        ("from base import Base\n@encoder('e')\nclass E(Base): pass\n", [("base.py", HEAD + BASE)]),
        ("import base\n@encoder('e')\nclass E(base.Base): pass\n", [("base.py", HEAD + BASE)]),
        ("from .models.base import Base as B\n@encoder('e')\nclass E(B): pass\n", [("models/base.py", HEAD + BASE)]),
        (
            BASE
            + "@encoder('e')\nclass E(nn.Module):\n    __init__ = Base.__init__\n    compare = Base.compare\n    paper_recipe = Base.paper_recipe\n",
            (),
        ),
        (
            BASE + "class Mixin:\n    compare = Base.compare\n    paper_recipe = staticmethod(Base.paper_recipe)\n"
            "@encoder('e')\nclass E(Mixin, nn.Module):\n    def __init__(self, space, *, dim: int = 16, layers: int = 2): super().__init__()\n",
            (),
        ),
        (
            BASE
            + "@encoder('e')\nclass E(Base):\n    def __init__(self, space, *, dim: int = 16, **more): super().__init__(space, dim=dim, **more)\n",
            (),
        ),
    ],
)
def test_hooks_and_options_are_seen_however_a_class_has_them(tmp_path, body, files):
    text = info(tmp_path, body, files=files)
    loaded = info(tmp_path, body, reach="here")
    for actual in (text, loaded):
        assert set(actual.hooks) == {"compare", "paper_recipe"}
    assert loaded.options.keys() == {"dim", "layers"} and loaded.validate({"dim": "32", "layers": 2}) == {"dim": 32}
    assert text.open or text.options == loaded.options


@pytest.mark.parametrize(
    "body, open",
    [
        ("import timm_like\n@encoder('e')\nclass E(timm_like.Net): pass\n", "what it inherits from timm_like.Net"),
        (BASE + "def more(cls): return cls\n@more\n@encoder('e')\nclass E(Base): pass\n", "what @more makes of it"),
        ("if True:\n" + "    def E(graphs, space, *, dim: int = 3): ...\n", "what E is"),
        (
            "def f(graphs, space, *, power, dim: int = 3): ...\nE = encoding('e')(functools.partial(f, power=2))\n",
            "what E is",
        ),
        (
            "NAMES = dict(a=1).keys()\n@encoding('e')\ndef E(graphs, space, *, kind: Literal[tuple(NAMES)] = 'a'): ...\n",
            "the type of option kind",
        ),
        ("@encoding('e' * 2)\ndef E(graphs, space): ...\n", "the name it is registered with"),
    ],
)
def test_what_the_text_leaves_open_is_said_and_read_from_the_object(tmp_path, body, open):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "timm_like.py").write_text(HEAD + BASE + "Net = Base\n")
    sys.path.append(str(tmp_path / "site-packages"))
    try:
        text = info(tmp_path, body)
        assert open in text.open
        text.validate({"anything": 1})
        loaded = info(tmp_path, body, reach="here")
        assert not loaded.open
        with pytest.raises(ArchrankError, match="unknown option"):
            loaded.validate({"anything": 1})
    finally:
        sys.path.remove(str(tmp_path / "site-packages"))
        sys.modules.pop("timm_like", None)


def test_an_object_that_is_other_than_its_text_is_refused(tmp_path):
    body = BASE + "@encoder('e')\nclass E(nn.Module):\n    def __init__(self, space): ...\nE.compare = Base.compare\n"
    with pytest.raises(
        ArchrankError, match=r"e.py:E: the loaded class has other hooks than its text shows \(compare\)"
    ):
        catalog.confirm(info(tmp_path, body))


@pytest.mark.parametrize(
    "annotation, default, given, means",
    [
        ("Optional[int]", "None", "3", 3),
        ("int | None", "None", None, None),
        ("int", "None", "3", 3),
        ("'int | None'", "None", "3", 3),
        ("Literal[KINDS]", "'a'", "b", "b"),
        ("Literal['a', OTHER]", "'a'", "b", "b"),
        ("tuple[int, str]", "(1, 'x')", [2, "y"], (2, "y")),
        ("float", "-1e-3", 1, 1.0),
        ("int", "SIZE", 9, 9),
    ],
)
def test_options_mean_the_same_in_the_text_and_in_the_object(tmp_path, annotation, default, given, means):
    files = [("constants.py", "KINDS = ('a', 'b')\nSIZE = 7\n")]
    body = f"from constants import KINDS, SIZE\nOTHER = 'b'\n@encoding('e')\ndef E(graphs, space, *, x: {annotation} = {default}): ...\n"
    text = info(tmp_path, body, files=files)
    assert not text.open and read(catalog.find(f"{tmp_path / 'e.py'}:E", "here")[0]).options == text.options
    assert text.validate({"x": given}) == ({"x": means} if means is not None else {})
    with pytest.raises(ArchrankError, match="option x="):
        text.validate({"x": ["no", "such", "thing"]})


@pytest.mark.parametrize(
    "text, said",
    [
        (b"\xef\xbb\xbffrom archrank import encoding\n@encoding('e')\ndef E(graphs, space): ...\n", None),
        ("# -*- coding: latin-1 -*-\n# gr\xf6\xdfe\ndef E(graphs, space): ...\n".encode("latin-1"), None),
        (b"X = " + b"+".join([b"1"] * 100_000) + b"\ndef E(graphs, space): ...\n", "nested too deeply"),
        (b"X = " + b"(" * 5_000 + b"1" + b")" * 5_000, "e.py"),
        (b"def E(graphs\0, space): ...\n", "null bytes"),
        (b"\xff\xfe", "e.py"),
        (b"def (", "e.py, line 1"),
    ],
)
def test_any_file_is_read_or_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "e.py").write_bytes(text)
    if said is None:
        assert catalog.find(f"{tmp_path / 'e.py'}:E")[0].object == "E"
    else:
        with pytest.raises(ArchrankError, match=said) as error:
            catalog.find(f"{tmp_path / 'e.py'}:E")
        assert "\n" not in str(error.value)


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    for name in ("pipe.py", "zero.py"):
        with pytest.raises(ArchrankError, match="is no plain file"):
            catalog.find(f"{tmp_path / name}:E")


@pytest.mark.parametrize("reference", ["evil.sub:X", "evil.inner.deep:X", "enc.py:X"])
def test_a_reference_is_resolved_without_running_anything(tmp_path, monkeypatch, reference):
    for name in ("evil/__init__.py", "evil/inner/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import pathlib\npathlib.Path('ran').touch()\n")
    for name in ("evil/sub.py", "evil/inner/deep.py", "enc.py"):
        (tmp_path / name).write_text("import pathlib\npathlib.Path('ran').touch()\ndef X(graphs, space): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert parse(reference)[0].info.source and not (tmp_path / "ran").exists() and "evil" not in sys.modules


@pytest.mark.parametrize("name", ["gcn", "path"])
def test_a_name_that_is_taken_is_refused(tmp_path, name):
    with pytest.raises(
        ArchrankError, match=f"e.py:E is called '{name}', as the built-in encoder is; choose another name"
    ):
        info(tmp_path, f"@encoding('{name}')\ndef E(graphs, space): ...\n")


def test_two_files_of_one_name_are_refused_whatever_their_options(tmp_path):
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(
            "from archrank import encoding\n@encoding('mine')\ndef E(graphs, space, *, k: int = 1): ...\n"
        )
    with pytest.raises(ArchrankError, match=r"a.py:E and .*b.py:E are both called 'mine'"):
        parse_list(f"{tmp_path / 'a.py'}:E,{tmp_path / 'b.py'}:E[k=2]")
    assert len(parse_list(f"{tmp_path / 'a.py'}:E,{tmp_path / 'a.py'}:E[k=2]")) == 2
