"""The package from a user's folder: it works, type checkers see its real types, and a folder of the repository is not
taken for another package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REVEALED = {
    "archrank.run": "archrank.api.Results",
    "results.compare": "Comparison",
    "scores": "float64",
    "table": "archrank.datasets.benchmark.Benchmark",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with README's Python example, and beside it an environment in which archrank's wheel is installed."""
    place = tmp_path_factory.mktemp("typed")
    for name in ("archrank", "datasets", "encoders", "eval", "reports"):
        shutil.copytree(ROOT / name, place / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "copy")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "env"], check=True)
    site = next((place / "env").glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")) + "\n")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            place / "env" / "bin" / "python",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            place / "copy",
        ],
        check=True,
        capture_output=True,
    )
    text = (ROOT / "README.md").read_text()
    example = next(part for part in text.split("```python\n") if part.startswith("import archrank")).split("```")[0]
    reveal = "\n".join(
        f"    reveal_type({name})" for name in ("archrank.run", 'results.compare("gcn", "path")', "scores", "table")
    )
    # Of torch and matplotlib no type is asked for, and reading theirs takes most of the time.
    skipped = "\n".join(f"[mypy-{name}.*]\nfollow_imports = skip" for name in ("torch", "matplotlib"))
    (place / "mypy.ini").write_text(f"[mypy]\n{skipped}\n")
    (place / "user.py").write_text(f"{example}\n{reveal}\n")
    return place


def test_the_wheel_works_outside_the_repository(folder):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ARCHRANK"))}

    def ended(program, *words):
        command = [folder / "env" / "bin" / program, *words]
        return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)

    listed = ended("archrank", "list")
    assert listed.returncode == 0 and "flowerformer" in listed.stdout and "digits101" in listed.stdout, listed.stderr
    assert ended("archrank", "plan", "--suite", "default").returncode == 0
    assert str(folder / "env") in ended("python", "-c", "import archrank.eval as e; print(e.__file__)").stdout


def test_mypy_sees_real_types(folder):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            os.devnull,
            "--python-executable",
            "env/bin/python",
            "user.py",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    for said in REVEALED.values():
        assert any("Revealed type" in line and said in line for line in done.stdout.splitlines()), (said, done.stdout)


def test_pyright_sees_real_types(folder):
    pytest.importorskip("pyright", reason="pyright is not installed")
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"venvPath": ".", "venv": "env", "strict": ["user.py"], "include": ["user.py"]})
    )
    done = subprocess.run([sys.executable, "-m", "pyright", "--outputjson"], cwd=folder, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright does not run here: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    actual = json.loads(done.stdout)["generalDiagnostics"]
    ours = [item["message"] for item in actual if item["severity"] == "error" and "pandas" not in item["message"]]
    assert not ours, ours
    answer = [item["message"] for item in actual if item["severity"] == "information"]
    assert len(answer) == 4 and not any("Unknown" in message for message in answer if "DataFrame" not in message), (
        answer
    )


@pytest.mark.parametrize("name", ["datasets", "encoders", "eval", "reports"])
def test_a_folder_of_the_repository_is_no_package_of_its_own(name):
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and f"ImportError: this is archrank.{name}" in done.stderr, done.stderr
