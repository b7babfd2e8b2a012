"""Who trains the groups of a plan: this process, worker processes, or what an installed package offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archrank.datasets.errors import ArchrankError
from archrank.datasets.registry import Registry

if TYPE_CHECKING:
    from archrank.eval.runners.base import Runner
    from archrank.eval.trials.context import Context

__all__ = ["RUNNERS", "RunnerKind", "Setup", "chosen_runner", "runner"]


@dataclass(frozen=True)
class Setup:
    """What a run gives to its runner.

    context: where and on what groups run. workers: how many processes were asked for, or are worth having. timeout:
    seconds that one ensemble may train, or None. named: benchmarks that a worker finds by their names, so that they
    need not be sent to it. asked: how many workers were asked for, if any number was. address: of a cluster.
    gpus_per_task: share of a GPU that an ensemble gets there.
    """

    context: Context
    workers: int
    timeout: float | None = None
    named: frozenset[str] = frozenset()
    asked: int | None = None
    address: str | None = None
    gpus_per_task: float = 1.0


@dataclass(frozen=True)
class RunnerKind:
    """A way to train by its name, as `@runner` makes it. elsewhere: on machines whose devices cannot be seen from here,
    so that `auto` is a CPU."""

    name: str
    make: Callable[[Setup], Runner]
    elsewhere: bool = False


def runner(name: str, *, elsewhere: bool = False) -> Callable[[Callable[[Setup], Runner]], RunnerKind]:
    """Register a way to train: a function `(setup) -> Runner` (see `archrank.eval.runners.base`), for `archrank run
    --runner NAME`. elsewhere: see `RunnerKind`."""

    def attach(make: Callable[[Setup], Runner]) -> RunnerKind:
        return RunnerKind(name, make, elsewhere)

    return attach


RUNNERS: Registry[RunnerKind] = Registry("runner", "runners", __name__, RunnerKind, ("runner",))


def chosen_runner(name: str | None, workers: int | None, address: str | None) -> RunnerKind:
    """The runner of a name (None: worker processes, or this process where workers is 0). ArchrankError for an unknown
    one, and for a number of workers or an address that mean nothing to it."""
    kind = RUNNERS[name or ("inline" if workers == 0 else "processes")]
    if kind.elsewhere and workers == 0:
        raise ArchrankError(f"workers=0 trains in this process, runner {kind.name} elsewhere; leave one of them out")
    if not kind.elsewhere and address is not None:
        raise ArchrankError(f"runner {kind.name} trains on this machine and knows no address; use --runner ray")
    return kind
