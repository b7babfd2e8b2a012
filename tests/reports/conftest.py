"""Synthetic stores, made once for all tests of the report."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from archrank.datasets import Benchmark, DataMissing
from archrank.reports import build, page
from archrank.reports.sections import SECTIONS


def _synthetic() -> ModuleType:
    if "synthetic_store" not in sys.modules:
        place = Path(__file__).with_name("synthetic.py")
        spec = importlib.util.spec_from_file_location("synthetic_store", place)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["synthetic_store"] = module
        spec.loader.exec_module(module)
    return sys.modules["synthetic_store"]


class Made(NamedTuple):
    """A store and the way to its benchmarks."""

    store: Path
    load: Callable[[str], Benchmark]


def loader(tables: dict[str, Benchmark]) -> Callable[[str], Benchmark]:
    def load(name: str) -> Benchmark:
        if name not in tables:
            raise DataMissing(f"{name} is not here")
        return tables[name]

    return load


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    return _synthetic()


@pytest.fixture(scope="session")
def make(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    def made(*args: object, **options: object) -> Made:
        store = tmp_path_factory.mktemp("made") / "store"
        tables = synthetic.make_store(store, *args, **options)
        return Made(store, loader(tables))

    return made


@pytest.fixture(scope="session")
def suite(make: Callable[..., Made]) -> Made:
    """Six predictors on two benchmarks of two spaces, three budgets, three seeds: complete."""
    return make((("toy-a", "toy"), ("other", "other")), budgets=(20, 78, 390), seeds=3)


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Called with names: `build` makes these sections alone, for tests that look at no other."""

    def limit(*names: str) -> None:
        monkeypatch.setattr(page, "SECTIONS", {name: SECTIONS[name] for name in names})

    return limit


@pytest.fixture(scope="session")
def built(suite: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the suite's report in every form of text."""
    out = tmp_path_factory.mktemp("out")
    build([suite.store], out, formats=("html", "md", "tex", "json"), load=suite.load)
    return out


@pytest.fixture(scope="session")
def ragged_built(ragged: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the ragged store."""
    out = tmp_path_factory.mktemp("ragged")
    build([ragged.store], out, formats=("html", "md", "tex", "json"), load=ragged.load)
    return out


@pytest.fixture(scope="session")
def ragged(make: Callable[..., Made]) -> Made:
    """Two benchmarks with a hole, failures, two machines, a label that is an HTML tag and one that TeX would choke
    on."""
    encoders = {
        "flowerformer": ("flow transformer", 0.5),
        "<script>alert(1)</script>": ("yours", 0.6),
        "a_b%$&#|*": ("yours", 0.9),
        "late": ("GNN", 0.7),
    }
    holes = [("late", "toy-a", b, s) for b in (20, 78) for s in range(3)] + [("late", "other", 20, s) for s in range(3)]
    return make(
        (("toy-a", "toy"), ("other", "other")),
        encoders=encoders,
        budgets=(20, 78),
        seeds=3,
        hardware=("CPU A", "GPU B"),
        holes=holes,
        failures=[("flowerformer", "toy-a", 78, 1)],
    )
