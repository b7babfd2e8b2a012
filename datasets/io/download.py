"""Fetching official files that have a plain address: checked by hash, resumed where a transfer broke off, never half in
place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from archrank.datasets.errors import DataError, DataMissing
from archrank.datasets.importers import Download, Source

TRIES = 4
CHUNK = 1 << 16  # what a transfer that breaks off can lose
TIMEOUT = (10.0, 60.0)
Progress = Callable[[int, int | None], None]


def get(source: Source, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Fetch the files of a benchmark into a data folder; files that are there and right are kept.

    progress is called with bytes so far and in all (None if the server does not say). DataMissing, saying what to fetch
    where and which command imports it, for a benchmark without plain addresses; DataError if a file cannot be fetched
    or is not the official one.
    """
    if not source.downloads:
        raise DataMissing(
            f"benchmark '{source.name}' has no plain download: get {source.obtain}; put it at {folder / source.file} and run "
            f"`archrank data import {folder / source.file.split(' ')[0]} --as {source.name}`"
        )
    return [fetch(item, folder, progress) for item in source.downloads]


def fetch(item: Download, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch one file to its place below `folder`; returns its path."""
    import pooch

    target = folder / item.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")

    def downloader(url: str, output: Any, _pooch: Any, check_only: bool = False) -> bool | None:
        _transfer(item, part, progress)
        part.replace(output)
        return None

    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(item.url, known_hash=item.digest, fname=target.name, path=target.parent, downloader=downloader)
    except ValueError:
        raise DataError(
            f"{item.url}: what the server sent is not the official file (its {item.digest.split(':')[0]} differs); nothing was "
            "kept, try again or fetch it by hand"
        ) from None
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error})") from None
    return target


def _transfer(item: Download, part: Path, progress: Progress | None) -> None:
    """Bring `part` to its full length, going on where an earlier transfer stopped."""
    import requests

    reason = "it never sent anything"
    for _ in range(TRIES):
        have = part.stat().st_size if part.is_file() else 0
        # Asking for the plain bytes keeps their number comparable with what the server announces.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.get(item.url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
                if answer.status_code == 416:  # nothing follows what is there: whole, or not this file
                    return
                answer.raise_for_status()
                have = have if answer.status_code == 206 else 0
                length = answer.headers.get("Content-Length", "")
                total = have + int(length) if length.isdigit() else None
                if total is not None and total > item.limit:
                    part.unlink(missing_ok=True)
                    raise DataError(
                        f"{item.url}: the server announces {total:,} bytes; the file has at most {item.limit:,}; refused"
                    )
                with part.open("ab" if have else "wb") as stream:
                    for chunk in answer.iter_content(CHUNK):
                        have += len(chunk)
                        if have > item.limit:
                            break
                        stream.write(chunk)
                        if progress:
                            progress(have, total)
        except requests.RequestException as error:
            if error.response is not None and 400 <= error.response.status_code < 500:
                raise DataError(
                    f"{item.url}: the server answers {error.response.status_code}; fetch the file by hand"
                ) from None
            reason = str(error)[:120]
            continue
        if have > item.limit:
            part.unlink(missing_ok=True)
            raise DataError(f"{item.url}: the server sends more than {item.limit:,} bytes; refused")
        if total is None or have >= total:
            return
        reason = f"it broke off after {have:,} of {total:,} bytes"
    raise DataError(
        f"{item.url}: could not be fetched in {TRIES} tries ({reason}); repeat the command to go on from there"
    )
