"""The runner that trains in this process, one group after the other."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from archrank.eval.runners import Setup, runner
from archrank.eval.runners.base import IDLE_S, Runner, Tasks

if TYPE_CHECKING:
    from archrank.eval.trials.context import Context


class Inline:
    """Trains in this process: nothing is isolated from it, and an encoder that ends the process ends the run."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def run(self, tasks: Tasks) -> None:
        """Train every group, on as many threads as a worker has: the digits are then the same."""
        from archrank.eval.engine.threads import limited
        from archrank.eval.trials.execute import execute

        with limited(self.context.threads):
            while tasks.unfinished():
                task = tasks.take()
                if task is None:
                    time.sleep(IDLE_S)
                    continue
                execute(task.group, self.context, partial(tasks.on_event, task.number), task.benchmark)
                tasks.finish(task.number)


@runner("inline")
def inline(setup: Setup) -> Runner:
    """In this process, one ensemble after the other; what --workers 0 chooses."""
    return Inline(setup.context)
