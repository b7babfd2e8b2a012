"""Where a result came from: versions, hardware, commit."""

from __future__ import annotations

import datetime
import platform
import subprocess
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit archrank runs from, with "+changes" if files differ; None when it is installed."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


@lru_cache(maxsize=1)
def processor() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def own_version() -> str:
    """Version of the archrank that runs; what a checkout was installed as may be older."""
    return import_module("archrank").__version__


def provenance(device: str, threads: int) -> dict[str, Any]:
    """What docs/store.md lists under `provenance`."""
    hardware = processor()
    if device.startswith("cuda"):
        import torch

        hardware = torch.cuda.get_device_name(device)
    versions = {"archrank": own_version()}
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return versions | {
        "commit": commit(),
        "python": platform.python_version(),
        "device": device,
        "hardware": hardware,
        "threads": threads,
        "finished": now,
    }
