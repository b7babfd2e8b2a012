"""TransNAS-Bench-101: the whole release against known facts, and shards that are not what they should be."""

import itertools
import json
import zipfile

import numpy as np
import pytest

from archrank.datasets.benchmark import build
from archrank.datasets.errors import DataError
from archrank.datasets.importers import transnasbench101 as source


@pytest.mark.data
@pytest.mark.parametrize("variant", ["micro", "macro"])
def test_release_has_its_counts_best_scores_and_classes(real_data, variant):
    frame, card = source.read(source.locate(real_data, variant), variant)
    benchmark = build(frame, card)
    facts = card["facts"]
    assert len(benchmark) == facts["architectures"] and len(set(benchmark.key)) == facts["classes"]
    for task, best in facts["best"].items():
        assert benchmark.target(task).max() == pytest.approx(best, abs=6e-5)
    if variant == "micro":
        apart = benchmark.key == ""
        assert apart.sum() == 169 and len(np.unique(benchmark.target("class_scene")[apart])) == 1
        # Cells of one class differ by training noise only: a fiftieth of what cells differ by.
        connected = frame[~apart].groupby("key")["class_scene"]
        assert (connected.var() * connected.size()).sum() / (~apart).sum() < 0.03 * frame["class_scene"][~apart].var()


def test_micro_graph_has_the_four_paths_of_a_cell():
    digits = (1, 2, 3, 1, 2, 3)
    ops, edges, _ = source.graph("micro", digits, "here")
    pairs = set(zip(edges[::2], edges[1::2]))
    paths = {
        path
        for size in (1, 2, 3)
        for path in itertools.combinations(range(1, 7), size)
        if all(pair in pairs for pair in itertools.pairwise((0, *path, 7)))
    }
    # Nodes 1..6 stand for 0>1, 0>2, 1>2, 0>3, 1>3, 2>3.
    assert paths == {(4,), (1, 5), (2, 6), (1, 3, 6)}
    assert ops == [0, 2, 3, 4, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((2, 0, 0, 0, 1, 0), (0, 0, 0, 2, 0, 0), True),  # a convolution then a skip, against the convolution itself
        ((0, 2, 3, 0, 0, 0), (0, 0, 0, 0, 0, 0), True),  # nothing reaches the output
        ((2, 0, 0, 0, 3, 0), (0, 2, 0, 0, 0, 3), True),  # the same path through the other node
        ((2, 0, 0, 0, 3, 0), (3, 0, 0, 0, 2, 0), False),  # the order of operations matters
        ((0, 0, 0, 2, 0, 0), (0, 0, 0, 3, 0, 0), False),
        (
            (1, 0, 0, 0, 2, 0),
            (0, 0, 0, 2, 0, 0),
            False,
        ),  # a skip from the cell's input halves the resolution in some cells
    ],
)
def test_key_is_shared_by_equal_functions_only(one, other, same):
    assert (source.graph("micro", one, "")[2] == source.graph("micro", other, "")[2]) is same


def shards(path, change=lambda task, entries: entries):
    with zipfile.ZipFile(path, "w") as archive:
        for task in source.TASKS:
            entries = [{"idx": str(i), "arch": str((i, 1, 2, 3, 0, 1)), "val_accuracy": 50.0 + i} for i in range(3)]
            archive.writestr(f"zen/benchmark--transbench101_micro--{task}--0.json", json.dumps(change(task, entries)))
    return path


def test_shards_made_in_the_release_s_form_are_read(tmp_path):
    frame, card = source.read(shards(tmp_path / "a.zip"), "micro")
    assert list(frame["arch"]) == ["012301"[0:1] + "12301", "112301", "212301"]
    assert build(frame, card).target("jigsaw").tolist() == [50.0, 51.0, 52.0]


def test_a_proxy_beside_the_scores_is_a_column_of_its_task(tmp_path):
    def with_zen(task, entries):
        if task != "jigsaw":
            return entries
        return [entry | {"zen": {"score": 3.0 + row, "time": 1}} for row, entry in enumerate(entries[:2])] + entries[2:]

    benchmark = build(*source.read(shards(tmp_path / "a.zip", with_zen), "micro"))
    assert benchmark.target("jigsaw_zen").tolist()[:2] == [3.0, 4.0] and np.isnan(benchmark.target("jigsaw_zen")[2])
    assert benchmark.card.metrics["jigsaw_zen"].proxy and "class_scene_zen" not in benchmark.card.metrics
    with pytest.raises(DataError, match="b.zip.*entry 0: zen"):
        source.read(shards(tmp_path / "b.zip", lambda task, entries: [entries[0] | {"zen": "x"}]), "micro")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda task, entries: entries[:2] if task == "jigsaw" else entries, "shard is missing"),
        (lambda task, entries: [dict(entries[0], val_accuracy=float("nan")), *entries[1:]], "finite"),
        (lambda task, entries: [dict(entries[0], val_accuracy="93"), *entries[1:]], "not a number"),
        (lambda task, entries: [dict(entries[0], arch="(9, 0, 0, 0, 0, 0)"), *entries[1:]], "six digits"),
        (
            lambda task, entries: [dict(entries[0], arch="__import__('os').system('x')"), *entries[1:]],
            "tuple of integers",
        ),
        (lambda task, entries: [entries[0], *entries], "repeats architecture"),
        (lambda task, entries: {"a": 1}, "list of architectures"),
    ],
)
def test_wrong_shards_are_refused_with_member_and_entry(tmp_path, change, says):
    with pytest.raises(DataError, match=says) as caught:
        source.read(shards(tmp_path / "a.zip", change), "micro")
    assert "a.zip" in str(caught.value) and "\n" not in str(caught.value)


def test_archive_of_the_other_space_is_refused(tmp_path):
    with pytest.raises(DataError, match="no shard of the macro space"):
        source.read(shards(tmp_path / "a.zip"), "macro")
