"""A pool of `concurrent.futures` whose calls are tasks of a Ray cluster, for work that is no run of a plan, such as the
cells of a benchmark that is built."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from archrank.datasets.errors import ArchrankError
from archrank.eval.runners.processes import environment
from archrank.eval.runners.ray import RETRIES, connect, imported

__all__ = ["RayPool"]


class RayPool(Executor):
    """Calls as Ray tasks of one core and one thread each; a task whose process or node died is started again by Ray.

    What is called must give the same whenever it is, and write nothing but what it returns.
    """

    def __init__(self, address: str | None = None, gpus: float = 0) -> None:
        """address: of the cluster, as `RayRunner` takes it. gpus: share of a GPU that each call gets. ArchrankError if
        Ray is missing or cannot be reached."""
        self.ray, self._gpus = imported(), gpus
        self._ours = connect(self.ray, address)
        self._running: set[Any] = set()

    @property
    def size(self) -> int:
        """How many calls the cluster can run at a time now."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 0)))

    def put(self, value: object) -> Any:
        """Keep a value in the cluster, so that it goes to a node once; what is returned is an argument for `submit`."""
        return self.ray.put(value)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See `Executor`; ends with an ArchrankError where Ray gave the task up."""
        task = self.ray.remote(
            num_cpus=1, num_gpus=self._gpus, max_retries=RETRIES, runtime_env={"env_vars": environment(1)}
        )(function)
        reference = task.remote(*arguments, **named)
        self._running.add(reference)
        done: Future[Any] = Future()

        def settle(future: Future[Any]) -> None:
            self._running.discard(reference)
            if (error := future.exception()) is None:
                done.set_result(future.result())
            else:
                done.set_exception(self._said(error))

        reference.future().add_done_callback(settle)
        return done

    def _said(self, error: BaseException) -> BaseException:
        if isinstance(error, self.ray.exceptions.RayTaskError):
            return error.cause if isinstance(error.cause, ArchrankError) else error
        if isinstance(error, self.ray.exceptions.RayError):
            why = str(error).strip().partition("\n")[0]
            return ArchrankError(f"Ray gave it up after {RETRIES + 1} attempts ({why})")
        return error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End what still runs, and leave the cluster if this pool joined it."""
        for reference in [*self._running]:
            self.ray.cancel(reference, force=True)
        if self._ours:
            self.ray.shutdown()
