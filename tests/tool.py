"""Developers' scripts as modules: `tools/` is no package and is not installed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def tool(name: str) -> ModuleType:
    """The module `tools/<name>.py`."""
    if f"tools_{name}" not in sys.modules:
        spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"tools_{name}"] = module
        spec.loader.exec_module(module)
    return sys.modules[f"tools_{name}"]
