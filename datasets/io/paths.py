"""Whether a path that someone names is there. What no path can be (too long, or in a folder that may not be read) is
not there, and no error."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_file", "is_folder"]


def is_file(path: Path | str) -> bool:
    """Whether a regular file lies at a path."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises OSError for a name that is too long)


def is_folder(path: Path | str) -> bool:
    """Whether a folder lies at a path."""
    return os.path.isdir(path)  # noqa: PTH112
