"""The layout: imports run one way, what must be light is light, everything is packaged, generated pages are true."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from archrank.cli.listing import KINDS, REGISTRIES
from tests.commands import ended

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["datasets", "encoders", "eval", "reports", "archrank"]


def sources(layer):
    return sorted((ROOT / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer):
    allowed = {f"archrank.{name}" for name in LAYERS[: LAYERS.index(layer) + 1]} | {"archrank"}
    for path in sources(layer):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                if name.split(".")[0] == "archrank" and layer != "archrank":
                    above = ".".join(name.split(".")[:2])
                    assert above in allowed - {"archrank"}, f"{path.relative_to(ROOT)} imports {name}"


# Inside `eval`: what a part may import of the others. Parts not named here stand above all of these.
PARTS = {
    "metrics": set(),
    "statistics": {"metrics"},
    "engine": {"metrics"},
    "auto": {"engine", "metrics"},
    "trials": {"auto", "engine", "metrics"},
    "runners": {"trials", "auto", "engine", "metrics"},
    "search": {"runners", "auto", "trials", "engine", "statistics", "metrics"},
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_eval_import_one_way(part):
    for path in [*(ROOT / "eval").glob(f"{part}/**/*.py"), *(ROOT / "eval").glob(f"{part}.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("archrank.eval"):
                parts = node.module.split(".")
                named = {parts[2]} if len(parts) > 2 else {alias.name for alias in node.names}
                assert named <= PARTS[part] | {part}, f"{path.relative_to(ROOT)}:{node.lineno} imports {node.module}"


# Circles that stand: `Benchmark.from_graphs` is a door to tables of one's own, which make a Benchmark, and
# `SearchSpace.graphs` one to their graphs.
CIRCLES = {
    "archrank.datasets.benchmark",
    "archrank.datasets.space",
}


def modules():
    actual = {}
    for layer in LAYERS:
        top = "archrank" if layer == "archrank" else f"archrank.{layer}"
        for path in sources(layer):
            parts = [top, *path.relative_to(ROOT / layer).with_suffix("").parts]
            actual[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return actual


def imported(name, known):
    """Modules of archrank that a module imports anywhere: at its top, inside functions, for types."""
    actual = set()
    for node in ast.walk(ast.parse(known[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            actual |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in known else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            actual |= {alias.name for alias in node.names}
    return (actual & set(known)) - {name}


def test_no_files_import_each_other_in_a_circle():
    known = modules()
    left = {name: imported(name, known) for name in known}
    while leaves := [name for name, needs in left.items() if not needs & set(left)]:
        for name in leaves:
            del left[name]

    # What is left is in a circle, or imports one.
    def reaches(start, goal):
        seen, ahead = set(), [start]
        while ahead:
            for needed in left.get(ahead.pop(), set()) & set(left) - seen:
                if needed == goal:
                    return True
                seen.add(needed)
                ahead.append(needed)
        return False

    in_circles = {name for name in left if reaches(name, name)}
    allowed = {name for name in in_circles if any(reaches(name, one) and reaches(one, name) for one in CIRCLES)}
    assert in_circles == allowed, sorted(in_circles - allowed)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["list"],
        ["list", "encoders"],
        ["run", "--help"],
        ["report", "--help"],
        ["data", "--help"],
        ["plan", "-b", "digits101", "-e", "gcn,path", "--budgets", "20"],
    ],
)
def test_no_torch_for(command, tmp_path):
    code = (
        "import sys\nfrom archrank.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n"
        "    assert not stop.code, stop.code\nassert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_listing_of_every_kind_is_light():
    code = (
        "import sys\nfrom archrank.cli import main\nfrom archrank.cli.listing import KINDS\nfor kind in ('all', *KINDS):\n    try:\n"
        "        main(['list', kind])\n    except SystemExit as stop:\n        assert not stop.code, kind\n"
        "    heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'sklearn'} & set(sys.modules)\n    assert not heavy, (kind, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert {line.strip() for line in said if line.isupper()} == {kind.upper() for kind in KINDS}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_entry_has_a_summary(kind):
    module, name = REGISTRIES[kind]
    for entry in getattr(importlib.import_module(f"archrank.{module}"), name).entries.values():
        assert entry.summary and entry.name == entry.load().name, entry.place


def test_every_package_is_listed():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    actual = set()
    for layer in LAYERS:
        top = "archrank" if layer == "archrank" else f"archrank.{layer}"
        for init in (ROOT / layer).rglob("__init__.py"):
            actual.add(".".join([top, *init.parent.relative_to(ROOT / layer).parts]))
    assert actual == listed


def test_generated_pages_are_up_to_date():
    from archrank.cli.docs import encoders_page, suite_schema

    assert (ROOT / "docs" / "encoders.md").read_text() == encoders_page(), "run `archrank docs`"
    assert (ROOT / "docs" / "schema" / "suite.json").read_text() == suite_schema(), "run `archrank docs`"


def test_the_readmes_encoder_works(tmp_path, monkeypatch, capfd):
    text = (ROOT / "README.md").read_text()
    block = next(part for part in text.split("```python\n") if part.startswith("# my_encoder.py")).split("```")[0]
    (tmp_path / "my_encoder.py").write_text(block)
    monkeypatch.chdir(tmp_path)
    words = ["-e", "my_encoder.py:MyEncoder[dim=8]", "--budgets", "16", "--seeds", "1", "--workers", "0"]
    done = ended(capfd, "run", *words)
    assert done.returncode == 0, done.stderr
    assert "1 trained, 0 failed" in done.stdout
