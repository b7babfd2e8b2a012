"""The published trainings of NAS-Bench-301, in files made in their form."""

import copy
import json
import zipfile

import numpy as np
import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import nasbench301
from archrank.datasets.importers import nasbench301_release as source

# The cells of the one result file in the official repository.
EDGES = {
    "normal": {
        0: "skip_connect",
        1: "sep_conv_3x3",
        2: "sep_conv_3x3",
        3: "skip_connect",
        5: "dil_conv_3x3",
        7: "dil_conv_5x5",
        10: "sep_conv_3x3",
        11: "skip_connect",
    },
    "reduce": {
        0: "max_pool_3x3",
        1: "avg_pool_3x3",
        2: "skip_connect",
        3: "dil_conv_5x5",
        6: "sep_conv_3x3",
        7: "sep_conv_5x5",
        11: "sep_conv_3x3",
        12: "dil_conv_3x3",
    },
}
INPUTS = {"normal": {3: "0_1", 4: "0_2", 5: "1_2"}, "reduce": {3: "0_1", 4: "1_2", 5: "2_3"}}


def training(val=90.0, test=89.0, layers=8, first="skip_connect"):
    darts = "NetworkSelectorDatasetInfo:darts:"
    config = {f"{darts}edge_{kind}_{edge}": op for kind, edges in EDGES.items() for edge, op in edges.items()}
    config |= {
        f"{darts}inputs_node_{kind}_{node}": text for kind, nodes in INPUTS.items() for node, text in nodes.items()
    }
    config |= {
        f"{darts}edge_normal_0": first,
        f"{darts}layers": layers,
        f"{darts}init_channels": 32,
        "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": 100,
        "OptimizerSelector:optimizer": "sgd",
    }
    return {
        "optimized_hyperparamater_config": config,
        "budget": 100,
        "test_accuracy": test,
        "runtime": 3600.5,
        "info": [{"val_accuracy": val, "epochs": 98, "model_parameters": 1_500_000}],
    }


def release(folder, trainings):
    for name, content in trainings.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


MADE = {
    "rs/results_1.json": training(90.0),
    "rs/results_7_ti.json": training(92.0, 90.0),
    "de/results_3.json": training(80.0, first="none"),
    "bananas/results_4.json": training(10.0, layers=20, first="sep_conv_5x5"),
    "lowpar_training_data/results_0.json": training(1.0),
    "rs/notes.json": "not JSON",
}


@pytest.mark.parametrize("packed", [False, True])
def test_release_is_read_from_its_folder_and_from_its_zip(tmp_path, packed):
    folder = release(tmp_path / "nasbench301" / source.FOLDER, MADE)
    if packed:
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for name, content in MADE.items():
                archive.writestr(
                    f"home/data/nb_301_v13/{name}", content if isinstance(content, str) else json.dumps(content)
                )
        folder.rename(tmp_path / "elsewhere")
    frame, card = source.read(source.locate(tmp_path))
    benchmark = build(frame, card)
    assert (
        sorted(benchmark.target()) == [80.0, 91.0]
        and "1 trainings at other epochs" in card["metrics"]["cifar10_val"]["description"]
    )
    row = int(np.argmax(benchmark.target()))
    assert benchmark.target("cifar10_test")[row] == 89.5 and benchmark.target("parameters")[row] == 1_500_000
    assert benchmark.space.name == "nasbench301" and benchmark.space.cells == 2
    # Cell by cell: (input, operation) pairs of nodes 2 to 5, as the DARTS genotype of the same network has them.
    normal = ((0, 2), (1, 3), (0, 3), (1, 2), (0, 5), (2, 6), (1, 3), (2, 2))
    reduce = ((0, 0), (1, 1), (0, 2), (1, 6), (1, 3), (2, 4), (2, 3), (3, 5))
    assert benchmark.arch[row] == nasbench301.name_of(normal, reduce)


def broken(change):
    content = copy.deepcopy(training())
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        (broken(lambda c: c.pop("info")), "not a training"),
        (broken(lambda c: c["info"][0].update(val_accuracy=float("nan"))), "finite"),
        (
            broken(
                lambda c: c["optimized_hyperparamater_config"].update(
                    {"NetworkSelectorDatasetInfo:darts:edge_normal_0": "conv_9x9"}
                )
            ),
            "'conv_9x9'",
        ),
        (
            broken(
                lambda c: c["optimized_hyperparamater_config"].update(
                    {"NetworkSelectorDatasetInfo:darts:inputs_node_reduce_3": "x"}
                )
            ),
            "not such as",
        ),
        (
            broken(
                lambda c: c["optimized_hyperparamater_config"].update(
                    {"NetworkSelectorDatasetInfo:darts:inputs_node_reduce_4": "0_5"}
                )
            ),
            "edge 0 > 4",
        ),
        (
            broken(
                lambda c: c["optimized_hyperparamater_config"].update(
                    {"NetworkSelectorDatasetInfo:darts:inputs_node_reduce_4": "1_7"}
                )
            ),
            "reads node 7",
        ),
    ],
)
def test_wrong_trainings_are_refused_by_file(tmp_path, content, says):
    with pytest.raises(DataError, match=says) as caught:
        source.read(release(tmp_path, {"rs/results_1.json": content}))
    assert "results_1.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_trainings_is_refused(tmp_path):
    with pytest.raises(DataError, match="is this the release"):
        source.read(release(tmp_path, {"other/results_1.json": training()}))
