"""What `torch.save` wrote, read without torch: both forms of file, the official layouts, hostile and damaged ones, and
bounded memory."""

import bz2
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from archrank.datasets import nb201_cells
from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench201, natsbench, transnasbench101
from archrank.datasets.io import safe_pickle
from archrank.datasets.io import torch_files as torch_file
from tests.datasets.test_nats_hw import stage

ARCHS = [f"|none~0|+|none~0|none~1|+|none~0|{op}~1|none~2|" for op in nb201_cells.OPS[1:-1]]
BOTH = pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])


def save(content, path, zipped=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@BOTH
def test_plain_content_comes_back(tmp_path, zipped):
    content = {
        "a": [1, 2.5, None, True, "text"],
        "b": OrderedDict([(0, 1.5)]),
        ("c", 7): {1, 2},
        "d": np.float64(3.5),
        "e": b"x",
    }
    assert torch_file.load(save(content, tmp_path / "a.pth", zipped)) == content


@BOTH
def test_finished_parts_are_reduced_and_shared_texts_survive(tmp_path, zipped):
    name = "shared " + "text"
    content = {
        "rows": {i: {"keep": i, "long": [f"{i} {j}" for j in range(50)], "name": name} for i in range(30)},
        "name": name,
    }
    actual = torch_file.load(
        save(content, tmp_path / "a.pth", zipped),
        lambda d: {"kept": d["keep"], "name": d["name"]} if "keep" in d else None,
    )
    assert actual == {"rows": {i: {"kept": i, "name": name} for i in range(30)}, "name": name}


def test_what_was_reduced_cannot_come_back(tmp_path):
    shared = [1.0, 2.0]
    content = {"rows": {i: {"keep": i, "list": shared} for i in range(2)}}
    with pytest.raises(DataError, match="was read before"):
        torch_file.load(save(content, tmp_path / "a.pth"), lambda d: {"kept": 1} if "keep" in d else None)


def official(archs=ARCHS, change=lambda index, info: info):
    """The official layout. Every architecture has dictionaries of its own, as unpickled checkpoints have."""
    infos = {}
    for index, arch in enumerate(archs):
        full, less = stage(arch, 200, (777, 888), shift=index), stage(arch, 12, (777,), shift=index)
        for results in (full, less):
            results["arch_index"], results["clear_net_done"] = index, True
            for (data_set, seed), run in results["all_results"].items():
                run |= {
                    "name": data_set,
                    "seed": seed,
                    "net_state_dict": None,
                    "train_times": OrderedDict(run["train_times"]),
                    "latency": [np.float64(0.01)],
                    "eval_names": ["x-valid"],
                }
        infos[index] = change(index, {"full": full, "less": less})
    return {"meta_archs": list(archs), "total_archs": len(archs), "arch2infos": infos, "evaluated_indexes": list(infos)}


@BOTH
def test_nasbench201_in_the_official_layout(tmp_path, zipped):
    path = save(official(), tmp_path / "nasbench201" / "NAS-Bench-201-v1_1-096897.pth", zipped)
    assert nasbench201.locate(tmp_path) == path
    frame, card = nasbench201.read(path)
    benchmark = build(frame, card)
    assert list(benchmark.arch) == ARCHS and benchmark.name == "nasbench201" and "5 of 15,625" in card["title"]
    assert benchmark.target().tolist() == [57.5 + i for i in range(5)] and benchmark.target(
        "cifar100_test_12"
    ).tolist() == [57.0 + i for i in range(5)]
    assert benchmark.repeats("cifar10_test").tolist() == [[57.0 + i, 58.0 + i] for i in range(5)]
    assert benchmark.target("parameters").tolist() == [5e5] * 5 and card["metrics"]["flops"]["unit"] == "count"
    assert benchmark.target("train_seconds").tolist() == [300.0] * 5
    assert set(nasbench201.COLUMNS) | set(nasbench201.COSTS) <= set(benchmark.targets)


@pytest.mark.data
def test_nasbench201_results_of_the_real_release_in_the_official_layout(real_data, tmp_path):
    folder = natsbench.locate(real_data, "topology")
    infos = [
        safe_pickle.loads(bz2.decompress(file.read_bytes()), file.name)[0] for file in sorted(folder.glob("0*.pbz2"))
    ]
    archs = [info["200"]["arch_str"] for info in infos]
    content = {
        "meta_archs": archs,
        "arch2infos": {i: {"full": info["200"], "less": info["12"]} for i, info in enumerate(infos)},
    }
    frame, _ = nasbench201.read(save(content, tmp_path / "a.pth", zipped=False))
    table, _ = nasbench201.read(real_data / "nasbench201" / "table.csv")
    same = table.set_index("arch").loc[archs]
    for name in (*nasbench201.COLUMNS, *nasbench201.COSTS):
        np.testing.assert_allclose(frame[name], same[name], rtol=1e-9, err_msg=name)
    assert list(frame["key"]) == list(same["key"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, info: dict(info, full=5), "not the results of an architecture"),
        (lambda i, info: dict(info, full=dict(info["full"], arch_str=ARCHS[0])), "another than `meta_archs` says"),
        (lambda i, info: {"full": info["full"], "other": 1}, "are missing or belong"),
        (lambda i, info: {"full": stage(ARCHS[i], 200, shift=float("nan")), "less": info["less"]}, "finite"),
        (lambda i, info: dict(info, full=dict(info["full"], weights=torch.zeros(3))), "refused"),
    ],
)
def test_wrong_nasbench201_files_are_refused_in_one_line(tmp_path, change, says):
    with pytest.raises(DataError, match=says) as caught:
        nasbench201.read(save(official(ARCHS[:2], change), tmp_path / "a.pth"))
    assert "a.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_operation_and_another_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="unknown operation 'conv_9x9'"):
        nasbench201.read(save(official([ARCHS[0].replace("none~0|none~1", "none~0|conv_9x9~1")]), tmp_path / "a.pth"))
    with pytest.raises(DataError, match="lacks 'meta_archs'"):
        nasbench201.read(save({"a": 1, "b": 2}, tmp_path / "b.pth"))
    with pytest.raises(DataError, match="holds no architecture"):
        nasbench201.read(save({"meta_archs": [], "arch2infos": {}}, tmp_path / "c.pth"))


class Run:
    def __reduce__(self):
        import os

        return os.system, ("touch owned",)


@BOTH
def test_code_is_refused_and_never_run(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    path = save({"meta_archs": Run(), "arch2infos": {}}, tmp_path / "a.pth", zipped)
    with pytest.raises(DataError, match=r"(posix|nt).system.*nothing was run"):
        nasbench201.read(path)
    assert not (tmp_path / "owned").exists()


def test_damaged_files_are_refused(tmp_path):
    for zipped in (False, True):
        whole = save(official(ARCHS[:2]), tmp_path / "a.pth", zipped).read_bytes()
        (tmp_path / "b.pth").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="complete"):
            torch_file.load(tmp_path / "b.pth")
    header = pickle.dumps(torch_file.MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    (tmp_path / "c.pth").write_bytes(header + b"\x80\x02X" + struct.pack("<I", 0xFFFFFFF0) + b"short")
    with pytest.raises(DataError, match="beyond the end"):
        torch_file.load(tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(header + b"\x80\x02]r" + struct.pack("<I", 0x7FFFFFFF) + b".")
    with pytest.raises(DataError, match="out of order"):
        torch_file.load(tmp_path / "d.pth")
    (tmp_path / "e.pth").write_bytes(pickle.dumps([1]) * 4)
    with pytest.raises(DataError, match="not a file that torch.save wrote"):
        torch_file.load(tmp_path / "e.pth")
    with zipfile.ZipFile(tmp_path / "f.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(1 << 20))
    with pytest.raises(DataError, match="one uncompressed"):
        torch_file.load(tmp_path / "f.pth")
    with pytest.raises(DataError, match="cannot be read"):
        torch_file.load(tmp_path / "none.pth")


def test_memory_grows_with_architectures_and_not_with_their_results(tmp_path):
    archs = [
        f"|{a}~0|+|{b}~0|none~1|+|none~0|none~1|{c}~2|"
        for a in nb201_cells.OPS[1:-1]
        for b in nb201_cells.OPS[1:-1]
        for c in nb201_cells.OPS[1:3]
    ]

    def peak(epochs):
        # Curves of every epoch, as the official file has them; every text an object of its own.
        def long(index, info):
            for results in info.values():
                for run in results["all_results"].values():
                    run["train_losses"] = {f"{index} {epoch}"[len(str(index)) :]: 0.5 for epoch in range(epochs)}
            return info

        path = save(official(archs, long), tmp_path / "a.pth", zipped=False)
        tracemalloc.start()
        nasbench201.read(path)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, path.stat().st_size

    # Two bytes a reference remain, a fifth of the file's growth; the objects themselves would be several times it.
    (little, small), (much, large) = peak(1), peak(150)
    assert large - small > 1_500_000 and much - little < (large - small) / 3


def test_reader_needs_no_torch():
    code = "import sys; import archrank.datasets.io.torch_files, archrank.datasets.importers.nasbench201_pth; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


METRICS = {
    "class_scene": "top1",
    "class_object": "top1",
    "jigsaw": "top1",
    "room_layout": "neg_loss",
    "segmentsemantic": "acc",
    "normal": "ssim",
    "autoencoder": "ssim",
}


def transnas(names=("64-41414-1_02_333", "64-41414-3_00_120"), space="micro", change=lambda task, network: network):
    def network(task, at):
        judged = METRICS[task]
        curves = {f"{part}_{judged}": [10.0 + at, 30.0 + at, 20.0 + at] for part in ("train", "valid")} | {
            f"test_{judged}": [1.0, 2.0 + at, 3.0]
        }
        if judged == "acc":
            curves["valid_mIoU"] = [90.0] * 3
        return change(
            task,
            {
                "total_epochs": 3,
                "metrics": curves | {"time_elapsed": [1.0] * 3},
                "model_info": {
                    "inference_time": 0.5,
                    "encoder_params": 1.0,
                    "model_params": 2.0 + at,
                    "model_FLOPs": 7.0,
                },
            },
        )

    data = {space: {name: {task: network(task, at) for task in METRICS} for at, name in enumerate(names)}}
    return {
        "metrics_dict": {},
        "info_names": ["inference_time"],
        "task_list": list(METRICS),
        "data": {"macro": {}, "micro": {}} | data,
    }


@BOTH
def test_transnasbench101_in_the_official_layout(tmp_path, zipped):
    path = save(transnas(), tmp_path / "transnasbench101" / "transnas-bench_v10141024.pth", zipped)
    assert transnasbench101.locate(tmp_path, "micro") == transnasbench101.locate(tmp_path, "macro") == path
    frame, card = transnasbench101.read(path, "micro")
    benchmark = build(frame, card)
    # node 1: skip of 0; node 2: none of 0, conv 1x1 of 1; node 3: conv 3x3 of all (the README's example).
    assert list(benchmark.arch) == ["102333", "300120"]
    words = [benchmark.space.ops[op] for op in benchmark.ops[0]]
    assert words == [
        "input",
        "skip_connect",
        "none",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "nor_conv_3x3",
        "nor_conv_3x3",
        "output",
    ]
    assert benchmark.target("segmentsemantic").tolist() == [30.0, 31.0] and benchmark.target(
        "class_scene_test"
    ).tolist() == [2.0, 3.0]
    assert (
        benchmark.target("parameters").tolist() == [2.0, 3.0]
        and benchmark.direction("latency") == "min"
        and "best" not in card["facts"]
    )
    macro = save(transnas(("64-1234-basic", "64-411111-basic"), "macro"), tmp_path / "m.pth", zipped)
    assert list(transnasbench101.read(macro, "macro")[0]["arch"]) == ["1234", "411111"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            transnas(change=lambda task, n: n if task != "jigsaw" else dict(n, metrics={"valid_loss": [1.0]})),
            "has none of valid_top1",
        ),
        (transnas(change=lambda task, n: dict(n, metrics={"valid_top1": [1.0, float("inf")]})), "finite"),
        (transnas(change=lambda task, n: {"total_epochs": 3, "metrics": {}}), "has no 'metrics' and 'model_info'"),
        (transnas(("64-41414-1_02_33",)), "not the name of a micro architecture"),
        (transnas(("64-41414-1_02_339",)), "six digits"),
        (transnas((), "micro"), "no architecture of the micro space"),
        ({"data": {}, "task_list": []}, "lacks 'data' / 'micro'"),
    ],
)
def test_wrong_transnasbench101_files_are_refused(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        transnasbench101.read(save(content, tmp_path / "a.pth"), "micro")
