"""The eighth kind: official files of benchmarks, in the form of each release, and hostile pickles, torch files and
archives."""

from __future__ import annotations

import bz2
import io
import json
import pickle
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archrank.datasets.benchmark import build
from archrank.datasets.catalog import read_official
from archrank.datasets.importers import (
    deepnets1m,
    hwnasbench,
    nasbench101,
    nasbench201,
    nasbench301_release,
    nasbench_asr,
    nasbench_graph,
    nasbench_nlp,
    natsbench,
    nnlqp,
    transnasbench101,
)
from archrank.datasets.io import bounded, safe_pickle, torch_files
from tests.datasets import (
    made,
    synthetic_nb101,
    test_made_releases,
    test_nasbench301_release,
    test_nasbench_graph,
    test_nasbench_nlp,
    test_nats_hw,
    test_torch_files,
    test_transnasbench101,
)
from tests.tools.fuzz import mutate
from tests.tools.fuzz.kinds import Kind

__all__ = ["Releases"]

NAMES = (
    "../up.json",
    "/abs.json",
    "a\x00.json",
    "C:\\x.json",
    "a\n.json",
    "\x1b[2J.json",
    "x" * 300 + ".json",
    "a.json",
)


class Releases(Kind):
    """Releases that importers read."""

    name, share = "releases", 5

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        mutate.Runs.folder = str(folder / "ran")
        self.readers: list[tuple[Path, Callable[[Path], Any]]] = []
        for name, write, module, variant in RELEASES:
            place = folder / name
            place.mkdir()
            write(place)
            build(*module.read(module.locate(place, variant), variant))  # as it is, it is read
            self.readers.append(
                (
                    place,
                    lambda root, module=module, variant=variant, name=name: read_official(
                        module.read, module.locate(root, variant), variant, name
                    ),
                )
            )
        self.plain = folder / "plain"
        write_plain(self.plain)

    def give(self, scratch: Path, rng: random.Random) -> list[str]:
        """A release in which one file is another, or a packed file of no release."""
        try:
            if rng.random() < 0.35:
                self.unpacked(scratch, rng)
            else:
                place, read = rng.choice(self.readers)
                root = scratch / "root"
                shutil.copytree(place, root)
                spoil(rng.choice(sorted(path for path in root.rglob("*") if path.is_file())), rng)
                build(*read(root))
        finally:
            if (self.folder / "ran").exists():
                (self.folder / "ran").rmdir()
                raise AssertionError("what was in a pickle ran")
        return []

    def unpacked(self, scratch: Path, rng: random.Random) -> None:
        """What importers read packed files with, on any content."""
        path = scratch / rng.choice(sorted(item.name for item in self.plain.iterdir()))
        shutil.copy(self.plain / path.name, path)
        spoil(path, rng)
        match path.suffix:
            case ".pickle":
                safe_pickle.load(path)
            case ".pth":
                torch_files.load(path)
            case ".zip":
                for _ in bounded.zip_members(path, ".json"):
                    pass
            case ".tar" | ".gz":
                for _, stream in bounded.tar_members(path, ".json"):
                    bounded.read_stream(stream, 1 << 20, str(path))
            case ".bz2":
                bounded.read_bz2(path, 1 << 20)


def write_plain(folder: Path) -> None:
    """Packed files of no release."""
    folder.mkdir()
    value = {"a": [1, 2.5, None, "text", (1, 2)], "b": {"c": {1, 2}, "d": b"bytes"}}
    (folder / "a.pickle").write_bytes(pickle.dumps(value, 2))
    test_torch_files.save(value, folder / "a.pth")
    test_torch_files.save(value, folder / "b.pth", zipped=False)
    (folder / "a.zip").write_bytes(zipped({"a.json": b"{}", "b/c.json": b"[1, 2]"}))
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        (folder / name).write_bytes(tarred({"a.json": b"{}", "b/c.json": b"[1, 2]"}, mode))
    (folder / "a.bz2").write_bytes(bz2.compress(b"text" * 100))


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], mode: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def spoil(path: Path, rng: random.Random) -> None:
    """One file in another form of its kind: its content changed, and packed again; or its bytes damaged."""
    data = path.read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(mutate.damage(data, rng))
        return
    members: dict[str, bytes]
    try:
        match path.suffix:
            case ".json":
                data = mutate.json_of(json.loads(data), rng)
            case ".pickle" | ".bench":
                data = pickled(data, rng)
            case ".pbz2" | ".bz2":
                inner = bz2.decompress(data)
                data = bz2.compress(pickled(inner, rng) if path.suffix == ".pbz2" else mutate.damage(inner, rng))
            case ".zip":
                with zipfile.ZipFile(path) as archive:
                    members = {name: archive.read(name) for name in archive.namelist()}
                data = zipped(other(members, rng))
            case ".tar" | ".gz":
                with tarfile.open(path) as archive:
                    members = {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}
                data = tarred(
                    other(members, rng),
                    "w:gz" if path.suffix == ".gz" else "w",
                    rng.choice((tarfile.REGTYPE,) * 4 + (tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)),
                )
            case ".txt" | ".csv":
                data = mutate.encoded(mutate.garble(data.decode(), rng))
            case _:
                data = mutate.damage(data, rng)
    except (
        TypeError,
        ValueError,
        AttributeError,
        pickle.PicklingError,
        RecursionError,
        OverflowError,
    ):  # the mutation cannot be written in this form
        data = mutate.damage(data, rng)
    path.write_bytes(data)


def pickled(data: bytes, rng: random.Random) -> bytes:
    """One or several pickles, one of them changed."""
    stream, parts = io.BytesIO(data), []
    while stream.tell() < len(data):
        parts.append(pickle.load(stream))
    at = rng.randrange(len(parts))
    return b"".join(
        mutate.pickle_of(part, rng) if place == at else pickle.dumps(part) for place, part in enumerate(parts)
    )


def other(members: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """The members of an archive, one of them changed, renamed or left out."""
    name = rng.choice(sorted(members))
    data = members.pop(name)
    if rng.random() < 0.2:
        name = rng.choice(NAMES)
    if rng.random() < 0.95:
        try:
            data = mutate.json_of(json.loads(data), rng)
        except ValueError:
            data = mutate.damage(data, rng)
        members[name] = data
    return members


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _onnx(root: Path) -> None:
    made.onnx(root, 2)


def _graph(root: Path) -> None:
    codes = {30123 + at: dict(test_nasbench_graph.ENTRY, perf=0.5 + at / 100) for at in range(3)}
    (_folder(root / "nasbench_graph") / "cora.bench").write_bytes(pickle.dumps(codes))


def _nlp(root: Path) -> None:
    test_nasbench_nlp.write(
        _folder(root / "nasbench_nlp") / nasbench_nlp.FILES["wikitext2"],
        test_nasbench_nlp.log(),
        test_nasbench_nlp.log((4.4, 4.2)),
    )


def _hardware(root: Path) -> None:
    (_folder(root / "hwnasbench") / hwnasbench.PICKLE).write_bytes(
        pickle.dumps(test_nats_hw.hardware(test_nats_hw.ARCHS))
    )


def _size(root: Path) -> None:
    test_nats_hw.write_release(
        root / "natsbench" / natsbench.FOLDERS["size"],
        [test_nats_hw.size_info(), test_nats_hw.size_info("64:8:8:8:8", shift=1.0)],
    )


def _torch(root: Path) -> None:
    test_torch_files.save(
        test_torch_files.official(), root / "nasbench201" / "NAS-Bench-201-v1_1-096897.pth", zipped=False
    )


def _darts(root: Path) -> None:
    test_nasbench301_release.release(
        root / "nasbench301" / nasbench301_release.FOLDER,
        {
            "rs/results_1.json": test_nasbench301_release.training(),
            "de/results_2.json": test_nasbench301_release.training(80.0, first="none"),
        },
    )


def _cells(root: Path) -> None:
    synthetic_nb101.write(_folder(root / "nasbench101") / "nasbench_full.tfrecord", 3)


def _transfer(root: Path) -> None:
    test_transnasbench101.shards(_folder(root / "transnasbench101") / transnasbench101.FILES["micro"])


def _networks(root: Path) -> None:
    test_made_releases.deepnets(root / "deepnets1m", (5, 8))


def _speech(root: Path) -> None:
    test_made_releases.asr(root / "nasbench_asr")


RELEASES: tuple[tuple[str, Callable[[Path], None], Any, str], ...] = (
    ("graph", _graph, nasbench_graph, "cora"),
    ("nlp", _nlp, nasbench_nlp, "wikitext2"),
    ("hardware", _hardware, hwnasbench, ""),
    ("size", _size, natsbench, "size"),
    ("torch", _torch, nasbench201, ""),
    ("darts", _darts, nasbench301_release, ""),
    ("cells", _cells, nasbench101, "full"),
    ("transfer", _transfer, transnasbench101, "micro"),
    ("networks", _networks, deepnets1m, ""),
    ("speech", _speech, nasbench_asr, ""),
    ("onnx", _onnx, nnlqp, ""),
)
