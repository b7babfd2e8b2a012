"""Claims: how several runs on one store share the work. A run claims an ensemble before it trains it; others leave
claimed trials to it.

A claim is a small file in the store's `claims` folder. It ends when its ensemble is done, when its process is gone (on
this machine), or when it was not renewed for `EXPIRES_S` seconds (on another one). Should two runs train the same
trials all the same, no harm is done: equal keys hold equal results. No torch here.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from archrank.eval.trials.files import NotWritten

EXPIRES_S = 120.0
RENEWED_EVERY_S = 15.0
# A claim without content is one that is just being written, or whose process was killed then.
WRITTEN_WITHIN_S = 5.0


class Claims:
    """The claims of one run on a store. Use it in a `with` block: leaving it releases them."""

    def __init__(self, store: Path) -> None:
        """store: the store's folder."""
        self.folder = store / "claims"
        self._held: dict[str, Path] = {}
        self._released = threading.Event()

    def __enter__(self) -> Claims:
        threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        for name in [*self._held]:
            self.release(name)
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # only where it is empty

    def claim(self, name: str, keys: Collection[str]) -> str | None:
        """Claim `keys` under a name that is this work's own. None if they are claimed now, else who holds some of them.

        Raises:
            NotWritten: the claim cannot be written.
        """
        path = self.folder / f"{name}.json"
        if holder := self._written_by(path, keys):
            return holder
        self._held[name] = path
        # Others may hold some of the keys under another name. Each run looks after it has written, so of two at least
        # one sees the other.
        for other in self._others(path):
            if set(other["keys"]).intersection(keys):
                self.release(name)
                return describe(other)
        return None

    def release(self, name: str) -> None:
        """Give a claim back."""
        if (path := self._held.pop(name, None)) is not None:
            path.unlink(missing_ok=True)

    def _written_by(self, path: Path, keys: Collection[str]) -> str | None:
        """Write the claim; None if that was possible, else who was there first. A claim that has ended is replaced."""
        text = json.dumps(identity() | {"keys": sorted(keys)})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for _ in range(2):
                try:
                    with path.open("x", encoding="utf-8") as file:  # never replaces another's claim
                        file.write(text)
                    return None
                except FileExistsError:
                    claim = read(path)
                    if not ended(path, claim):
                        return describe(claim)
                    path.unlink(missing_ok=True)
            return describe(None)
        except OSError as error:
            raise NotWritten(
                f"{path} cannot be written ({error.strerror}); make room there or choose another place (--store); "
                "what was finished is kept, and the same command goes on from it"
            ) from None

    def _others(self, mine: Path) -> list[dict[str, Any]]:
        claims = []
        for path in sorted(self.folder.glob("[!.]*.json")):
            if path == mine or path in self._held.values():
                continue
            claim = read(path)
            if ended(path, claim):
                path.unlink(missing_ok=True)
            elif claim is not None:
                claims.append(claim)
        return claims

    def _renew(self) -> None:
        while not self._released.wait(RENEWED_EVERY_S):
            for path in [*self._held.values()]:
                with contextlib.suppress(OSError):
                    os.utime(path)


def sweep_claims(store: Path) -> None:
    """Remove the claims of processes that are gone: of a run that was killed after its last trial, none that comes
    later has anything to claim."""
    with contextlib.suppress(OSError):
        for path in (store / "claims").glob("[!.]*.json"):
            if ended(path, read(path)):
                path.unlink(missing_ok=True)
        (store / "claims").rmdir()  # only where it is empty


def read(path: Path) -> dict[str, Any] | None:
    """A claim, or None where it is gone or no claim."""
    try:
        claim = json.loads(path.read_text(encoding="utf-8"))
        return (
            claim
            if isinstance(claim["keys"], list) and isinstance(claim["pid"], int) and isinstance(claim["machine"], str)
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ended(path: Path, claim: dict[str, Any] | None) -> bool:
    """Whether a claim's process is gone, as far as one can tell from here; None: a claim that cannot be read."""
    if claim is not None and claim["machine"] == machine():
        return not alive(claim["pid"], claim.get("started"))
    try:
        return time.time() - path.stat().st_mtime > (WRITTEN_WITHIN_S if claim is None else EXPIRES_S)
    except OSError:
        return True


def describe(claim: dict[str, Any] | None) -> str:
    """Who holds a claim, for a person."""
    return "another run" if claim is None else f"process {claim['pid']} on {claim['machine'].partition('/')[0]}"


def identity() -> dict[str, Any]:
    """This process, so that others can tell whether it is still there."""
    return {"pid": os.getpid(), "started": started(os.getpid()), "machine": machine()}


def machine() -> str:
    """This machine, and on it the namespace in which process numbers mean something (containers have their own)."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{platform.node()}/{namespace}"


def started(pid: int) -> str | None:
    """When a process started, in the kernel's own unit; None where that cannot be told. A number may be given to
    another process later."""
    fields = _stat(pid)
    return fields[19] if fields else None


def alive(pid: int, since: str | None = None) -> bool:
    """Whether a process of this machine is running; `since`: what `started` said of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(pid)
    return not fields or (fields[0] not in "ZX" and (since is None or fields[19] == since))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty where there is no such file."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
