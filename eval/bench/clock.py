"""Reading clocks and memory."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Stopwatch:
    """Wall-clock and CPU seconds (all threads of this process) since `start`."""

    wall: float = 0.0
    cpu: float = 0.0

    def start(self) -> None:
        """Begin."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Seconds of wall clock and of CPU since the start."""
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


def peak_memory() -> int:
    """The most bytes of memory that this process has had resident.

    From the kernel's own mark of the process where there is one: `getrusage` hands on the peak of the process that
    started this one. 0 where the system does not say.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
