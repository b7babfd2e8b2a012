"""NATS-Bench and HW-NAS-Bench: real samples against the full table, both packings, and releases that are not what they
should be."""

import bz2
import io
import pickle
import tarfile

import numpy as np
import pytest

from archrank.datasets import nb201_cells
from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import hwnasbench, nasbench201, natsbench


@pytest.mark.data
def test_topology_sample_agrees_with_the_full_table(real_data):
    frame, card = natsbench.read(natsbench.locate(real_data, "topology"), "topology")
    sample = build(frame, card)
    table, _ = nasbench201.read(nasbench201.locate(real_data))
    same = table.set_index("arch").loc[sample.arch]
    for name in (
        "cifar10_val",
        "cifar10_test",
        "cifar100_test",
        "imagenet16_test",
        "cifar10_val_12",
        "cifar100_val_12",
        "train_seconds",
    ):
        np.testing.assert_allclose(sample.target(name), same[name], rtol=1e-9)
    np.testing.assert_allclose(sample.target("parameters") * 1e6, same["parameters"])
    np.testing.assert_allclose(np.nanmean(sample.repeats("cifar10_val"), 1), sample.target("cifar10_val"))
    assert list(sample.key) == list(same["key"]) and (sample.ops == np.stack(same["ops"])).all()
    assert "of 15,625" in card["title"]


@pytest.mark.data
def test_size_sample_is_a_chain_of_channels(real_data):
    frame, card = natsbench.read(natsbench.locate(real_data, "size"), "size")
    sample = build(frame, card)
    assert list(sample.arch) == ["8:8:8:8:8", "8:8:8:16:32", "8:8:40:32:40"]
    assert sample.ops[2].tolist() == [0, 1, 1, 5, 4, 5, 9] and sample.depth[2].tolist() == list(range(7))
    assert sample.repeats("cifar10_val_12").shape == (3, 3) and sample.repeats("cifar10_val") is None
    assert np.isfinite(sample.scores.to_numpy()).all()


@pytest.mark.data
def test_hardware_table_covers_the_space(real_data):
    frame, card = hwnasbench.read(hwnasbench.locate(real_data))
    benchmark = build(frame, card)
    assert len(benchmark) == 15625 and len(set(benchmark.key)) == nb201_cells.CLASSES
    assert np.isnan(benchmark.target("cifar10_edgetpu_latency")).sum() == 4699
    assert len(benchmark.targets) == 30 and benchmark.direction("cifar10_fpga_energy") == "min"
    # A network of skips and nothing else is faster than one of 3x3 convolutions on every device.
    light, heavy = (
        list(benchmark.arch).index(f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|")
        for op in ("skip_connect", "nor_conv_3x3")
    )
    for name in benchmark.targets:
        values = benchmark.target(name)
        assert "intensity" in name or values[light] < values[heavy]


def test_naslib_tuple_is_in_source_order():
    # Edges (0,1) (0,2) (0,3) (1,2) (1,3) (2,3); 0 skip, 1 none, 2 conv3x3, 3 conv1x1, 4 pool.
    arch = hwnasbench.arch_of("(4, 3, 1, 0, 2, 0)", "here")
    assert arch == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"
    with pytest.raises(DataError, match="not a cell"):
        hwnasbench.arch_of("(5, 0, 0, 0, 0, 0)", "here")


def hardware(archs, **changes):
    part = {name: [1.0 + i for i in range(len(archs))] for name in hwnasbench.QUANTITIES} | changes
    return {
        "nasbench201": {
            data_set: part | {"config": [{"arch_str": arch} for arch in archs]} for data_set in hwnasbench.DATA_SETS
        }
    }


ARCHS = [f"|none~0|+|none~0|none~1|+|none~0|{op}~1|none~2|" for op in nb201_cells.OPS[1:-1]]


def test_official_pickle_form(tmp_path):
    path = tmp_path / "hwnasbench" / hwnasbench.PICKLE
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(hardware(ARCHS, edgetpu_latency=[-1, 2.0, 3.0, 4.0, 5.0])))
    assert hwnasbench.locate(tmp_path) == path
    frame, card = hwnasbench.read(path)
    benchmark = build(frame, card)
    np.testing.assert_array_equal(benchmark.target("imagenet16_edgetpu_latency"), [np.nan, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (hardware(ARCHS, pixel3_latency=[1.0] * 4), "different length"),
        (hardware(ARCHS, pixel3_latency=[1.0, 2.0, float("nan"), 4.0, 5.0]), "not a positive number"),
        (hardware(ARCHS, fpga_energy=[1.0, 2.0, -3.0, 4.0, 5.0]), "not a positive number"),
        (hardware([*ARCHS[:4], ARCHS[0]]), "comes twice"),
        (hardware([*ARCHS[:4], ARCHS[0].replace("none", "conv_9x9")]), "unknown operation"),
        ({"nasbench201": {}}, "lacks"),
        ([1], "lacks"),
    ],
)
def test_wrong_hardware_tables_are_refused(tmp_path, table, says):
    path = tmp_path / hwnasbench.PICKLE
    path.write_bytes(pickle.dumps(table))
    with pytest.raises(DataError, match=says):
        hwnasbench.read(path)


def stage(arch, epochs, seeds=(777,), shift=0.0):
    results = {}
    for data_set, names in (
        ("cifar10-valid", ("x-valid", "ori-test")),
        ("cifar10", ("ori-test",)),
        ("cifar100", ("x-valid", "x-test")),
        ("ImageNet16-120", ("x-valid", "x-test")),
    ):
        for seed in seeds:
            results[data_set, seed] = {
                "epochs": epochs,
                "eval_acc1es": {f"{name}@{epochs - 1}": 50.0 + seed % 10 + shift for name in names},
                "params": 0.5,
                "flop": 2.0,
                "train_times": dict.fromkeys(range(epochs), 1.5),
            }
    known = {data_set: list(seeds) for data_set, _ in results}
    return {"arch_str": arch, "all_results": results, "dataset_seed": known}


def size_info(arch="8:16:24:32:64", **more):
    return {"01": stage(arch, 1), "12": stage(arch, 12, (777, 888, 999)), "90": stage(arch, 90, **more)}


def write_release(folder, infos):
    folder.mkdir(parents=True)
    for number, info in enumerate(infos):
        (folder / f"{number:06d}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(info)))
    (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": []})))
    return folder


def test_folder_and_official_tar_give_the_same_table(tmp_path):
    folder = write_release(
        tmp_path / "natsbench" / natsbench.FOLDERS["size"], [size_info(), size_info("64:8:8:8:8", shift=1.0)]
    )
    frame, card = natsbench.read(natsbench.locate(tmp_path, "size"), "size")
    assert frame["cifar10_val"].tolist() == [57.0, 58.0] and frame["cifar10_val_12"].tolist() == [58.0, 58.0]
    assert frame["train_seconds"].tolist() == [135.0, 135.0]
    packed = tmp_path / "a.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, arcname=folder.name)
    again, card_again = natsbench.read(packed, "size")
    assert card == card_again
    assert frame.to_json() == again.to_json()


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (size_info("8:9:8:8:8"), "five of 8, 16"),
        (size_info("8:8:8:8"), "five of 8, 16"),
        ({"90": 5}, "not an architecture"),
        ({"200": {}}, "not an architecture"),
        (size_info(shift=float("nan")), "finite"),
    ],
)
def test_wrong_architectures_are_refused(tmp_path, info, says):
    with pytest.raises(DataError, match=says):
        natsbench.read(write_release(tmp_path / "x", [size_info(), info]), "size")


def test_hostile_tars_are_refused(tmp_path):
    bomb = bz2.compress(bytes(80 << 20))
    cases = {
        "../x.pickle.pbz2": (b"", "outside the archive"),
        "000000.pickle.pbz2": (bomb, "unpacks to more"),
        "000001.pickle.pbz2": (bz2.compress(b"\x80\x04hello")[:-3], "not a complete bz2"),
    }
    for name, (data, says) in cases.items():
        path = tmp_path / "bad.tar"
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        with pytest.raises(DataError, match=says):
            natsbench.read(path, "size")
    link = tarfile.TarInfo("000002.pickle.pbz2")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w") as archive:
        archive.addfile(link)
    with pytest.raises(DataError, match="no plain file"):
        natsbench.read(path, "size")
    path.write_bytes(b"not a tar")
    with pytest.raises(DataError, match="tar archive"):
        natsbench.read(path, "size")
