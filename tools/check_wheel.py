"""Builds the wheel and tries it outside the repository with every Python from 3.11 to 3.14 on the machine: `python
tools/check_wheel.py`.

What is tried needs no torch: listing, planning and help. Each Python gets a virtual environment with the wheel and the
packages that those need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
LIGHT = (
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "pydantic",
    "PyYAML",
    "typer",
    "rich",
    "platformdirs",
    "pooch",
    "networkx",
)
TRIED = (
    ["--version"],
    ["--help"],
    ["list", "encoders"],
    ["list", "benchmarks"],
    ["plan", "-b", "digits101", "-e", "gcn,base", "--budgets", "20"],
)


def main() -> int:
    """Build, try, and print a line for each Python. Exit code 1 if one fails or none is there."""
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(ROOT / "dist"), str(ROOT)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wheel = max((ROOT / "dist").glob("archrank-*.whl"), key=lambda path: path.stat().st_mtime)
    pythons = {version: path for version in VERSIONS if (path := _python(version))}
    failed = [version for version, path in pythons.items() if not _tried(version, path, wheel)]
    for version in VERSIONS:
        print(
            f"Python {version}: {'not on this machine' if version not in pythons else 'FAILED' if version in failed else 'works'}"
        )
    print(wheel.relative_to(ROOT))
    return 1 if failed or not pythons else 0


def _python(version: str) -> str | None:
    """A Python of that version: this one, one on the PATH, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    return next((python for python in candidates if python and _runs(python)), None)


def _runs(python: str) -> bool:
    """Whether it is a Python, and not a shim for one that pyenv has switched off."""
    return subprocess.run([python, "--version"], capture_output=True).returncode == 0


def _tried(version: str, python: str, wheel: Path) -> bool:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ARCHRANK"))}
    with tempfile.TemporaryDirectory() as folder:
        # Its own packages only, also where this Python itself runs in a virtual environment.
        subprocess.run([python, "-m", "venv", f"{folder}/env"], check=True, env=clean)
        own = f"{folder}/env/bin/python"
        for arguments in (["--no-deps", str(wheel)], LIGHT):
            subprocess.run(
                [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments],
                check=True,
                cwd=folder,
                env=clean,
            )
        for words in TRIED:
            done = subprocess.run(
                [f"{folder}/env/bin/archrank", *words], cwd=folder, env=clean, capture_output=True, text=True
            )
            if done.returncode:
                print(f"Python {version}: archrank {' '.join(words)}: {done.stderr.strip()[-500:]}")
                return False
    return True


if __name__ == "__main__":
    sys.exit(main())
