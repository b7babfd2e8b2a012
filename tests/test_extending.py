"""docs/extending.md: the package that its code makes is installed by pip, lists one entry of every kind, and all of
them work in one run and report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archrank.cli.listing import REGISTRIES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
NAMES = {
    "encoders": "tally",
    "pretexts": "sizes",
    "heads": "lasso",
    "losses": "huber",
    "labels": "ranks",
    "recipes": "short",
    "metrics": "found_best",
    "protocols": "halves",
    "importers": "chains",
    "sections": "spread",
    "strategies": "in_order",
    "runners": "counted",
}


def blocks():
    """File -> code, of every block of the page that names its file."""
    return dict(re.findall(r"```(?:toml|python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def archrank(tmp_path_factory):
    """Runs the command line where the package of the page is installed and `chains.csv` lies in a data folder."""
    place = tmp_path_factory.mktemp("extending")
    for name, text in blocks().items():
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "source" / name).write_text(text)
    (place / "source" / "archrank_mine" / "__init__.py").write_text(
        "raise SystemExit('listing must not import this')\n"
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--target",
            place / "site",
            place / "source",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    rng = np.random.default_rng(0)
    words = sorted({"".join(rng.choice(["a", "b"], rng.integers(1, 7))) for _ in range(120)})
    lines = [f"{word},{word.count('a') + 0.5 * len(word) + rng.normal(0, 0.2):.4f}" for word in words]
    (place / "data").mkdir()
    (place / "data" / "chains.csv").write_text("\n".join(["word,accuracy", *lines]))
    environment = {
        **os.environ,
        "PYTHONPATH": str(place / "site"),
        "ARCHRANK_DATA": str(place / "data"),
        "ARCHRANK_CACHE": str(place / "cache"),
    }

    def call(*words, program=("-m", "archrank")):
        return subprocess.run(
            [sys.executable, *program, *words], cwd=place, env=environment, capture_output=True, text=True
        )

    vars(call)["place"] = place
    return call


def test_every_kind_has_its_block():
    assert set(NAMES) == {*REGISTRIES, "encoders"}
    assert {f"archrank_mine/{kind}.py" for kind in NAMES} | {"pyproject.toml", "slow.yaml"} == set(blocks())
    assert all(
        len([line for line in text.splitlines() if line.strip()]) <= 22
        for name, text in blocks().items()
        if name.endswith(".py")
    )


def test_all_are_listed_without_an_import(archrank):
    code = (
        "import sys\nfrom archrank.cli import main\nfor kind in sys.argv[1:]:\n    try:\n        main(['list', kind, '--json'])\n"
        "    except SystemExit as stop:\n        assert not stop.code, kind"
    )
    done = archrank(*NAMES, program=["-c", code])
    assert done.returncode == 0, done.stderr
    kinds, rest = {}, done.stdout
    while rest:
        kind, end = json.JSONDecoder().raw_decode(rest)
        kinds, rest = kinds | kind, rest[end:].lstrip()
    for kind, name in NAMES.items():
        row = next(row for row in kinds[kind] if row["name"] == name)
        assert "(plug-in archrank-mine)" in row["about"] and len(row["about"]) > 30, row
    assert next(row for row in kinds["heads"] if row["name"] == "lasso")["detail"] == "alpha=0.01"


def test_all_are_used_in_one_run_and_one_report(archrank):
    (archrank.place / "site" / "archrank_mine" / "__init__.py").write_text("")
    done = archrank(
        "run",
        "-e",
        "tally,tally[edges=false]+lasso[alpha=0.001],gcn[layers=1,dim=8,pretext=sizes(updates=3,edges=false)]",
        "-b",
        "chains",
        "--protocol",
        "halves",
        "--recipe",
        "short",
        "--runner",
        "counted",
        "--budgets",
        "16",
        "--seeds",
        "2",
        "--store",
        "store",
    )
    assert done.returncode == 0 and "6 trained, 0 failed" in done.stdout and "training here, not in" in done.stdout, (
        done.stdout + done.stderr
    )
    records = [json.loads(path.read_text()) for path in sorted((archrank.place / "store" / "trials").rglob("*.json"))]
    assert len(records) == 6 and all(record["metrics"]["found_best"] in (0.0, 1.0) for record in records)
    trained = next(record for record in records if record["label"] == "tally")
    assert (trained["recipe"]["loss"], trained["recipe"]["loss_options"], trained["recipe"]["labels"]) == (
        "huber",
        {"delta": 0.5},
        "ranks",
    )
    assert trained["trial"]["recipe"].startswith("short@")
    assert any(re.fullmatch(r"lasso\[alpha=0.001\]@[0-9a-f]{16}", record["trial"]["head"]) for record in records)

    done = archrank("report", "--store", "store", "--output", "out", "--format", "md")
    assert done.returncode == 0, done.stderr
    page = (archrank.place / "out" / "report.md").read_text()
    for said in (
        "Spread of the trials",
        "between trials",
        "found_best",
        "isomorphic duplicates may be on both sides",
        "a random half to train on",
    ):
        assert said in page.replace("\\", ""), said


def test_the_strategy_searches(archrank):
    code = (
        "from archrank.datasets import load\nfrom archrank.eval.search.strategies import STRATEGIES\nfrom archrank.eval.search.steps import Query\n"
        "import numpy as np\nprint(next(STRATEGIES['in_order'](range(25), np.random.default_rng(0), batch=3)).candidates)"
    )
    environment = {**os.environ, "PYTHONPATH": str(archrank.place / "site")}
    (archrank.place / "site" / "archrank_mine" / "__init__.py").write_text("")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "[0, 1, 2]", done.stderr


def test_a_section_that_fails_costs_no_other(archrank):
    path = archrank.place / "site" / "archrank_mine" / "sections.py"
    text = path.read_text()
    path.write_text(text.replace("    frame =", "    raise RuntimeError('out of luck')\n    frame ="))
    done = archrank("report", "--store", "store", "--output", "broken", "--format", "md")
    path.write_text(text)
    assert done.returncode == 0, done.stderr
    page = (archrank.place / "broken" / "report.md").read_text()
    assert "Section spread (plug-in archrank-mine) failed: RuntimeError: out of luck" in page and "Appendix" in page


def test_a_recipe_file_of_the_page_plans(archrank):
    done = archrank(
        "plan", "-e", "gcn", "-b", "digits101", "--budgets", "20", "--recipe", "source/slow.yaml", "--store", "none"
    )
    assert done.returncode == 0 and "5 trials" in done.stdout, done.stderr
