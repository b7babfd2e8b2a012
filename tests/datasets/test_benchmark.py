import hashlib
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from archrank.datasets.benchmark import build, read_benchmark, write_benchmark
from archrank.datasets.card import read_card
from archrank.datasets.catalog import EMBEDDED
from archrank.datasets.errors import DataError


def table() -> tuple[pd.DataFrame, dict]:
    frame = pd.DataFrame(
        {
            "arch": ["a", "b", "c"],
            "ops": [[0, 1, 3], [0, 2, 1, 3], [0, 3]],
            "edges": [[0, 1, 1, 2], [0, 1, 1, 3, 0, 2, 2, 3], [0, 1]],
            "accuracy": [0.5, 0.6, 0.7],
            "latency": [3.0, 2.0, 1.0],
        }
    )
    metric = {"unit": "%", "direction": "max", "description": "made up"}
    card = {
        "name": "tiny",
        "title": "Tiny",
        "default_target": "accuracy",
        "metrics": {"accuracy": metric, "latency": metric | {"direction": "min"}},
        "space": {"name": "tiny", "ops": ["in", "x", "y", "out"], "max_nodes": 4, "roles": {"input": 0, "output": 3}},
    }
    return frame, card


def test_a_benchmark_can_be_sent_to_another_process_once_something_was_derived_on_its_graphs(cells):
    cells.graphs.derive("mine/by a closure", lambda graphs: graphs.depth)
    sent = pickle.loads(pickle.dumps(cells))
    assert (
        sent.content_hash == cells.content_hash
        and len(sent.graphs) == len(cells)
        and sent.target().tolist() == cells.target().tolist()
    )


def test_comes_back_as_it_was_written(tmp_path):
    frame, card = table()
    path = write_benchmark(tmp_path, frame, card)
    again = read_benchmark(path)
    assert len(again) == 3 and again.targets == ["accuracy", "latency"] and again.direction("latency") == "min"
    assert again.card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.ops.tolist() == [[0, 1, 3, 0], [0, 2, 1, 3], [0, 3, 0, 0]]
    assert np.argwhere(again.adj[1]).tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert again.depth[0].tolist() == [0, 1, 2, 0]
    assert again.space.generations == ((0,), (1, 2), (3,)) or len(again.space.generations) == 4
    graphs = again.graphs
    assert graphs.mask.sum(1).tolist() == [3, 4, 2] and graphs.depth.tolist() == again.depth.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.json", "tiny.parquet"]


def test_a_table_is_known_by_what_it_holds_and_not_by_its_file(tmp_path):
    frame, card = table()
    frame["accuracy/0"] = [0.5, np.nan, 0.7]
    card["metrics"]["accuracy"]["repeats"] = ["accuracy/0"]
    path = write_benchmark(tmp_path, frame, card)
    known = read_benchmark(path)
    frame = frame[[*reversed(frame.columns)]].astype({"latency": np.float32})
    frame["edges"] = [[0, 1, 1, 2], [2, 3, 0, 1, 1, 3, 0, 2], [0, 1]]
    frame.to_parquet(path, compression="gzip")
    kept = path.with_suffix(".json").read_text()
    card_of_it = {name: said for name, said in json.loads(kept).items() if name != "content"}
    path.with_suffix(".json").write_text(
        json.dumps(card_of_it | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    )
    again = read_benchmark(path)
    assert (
        not again.card.content
        and again.content == known.content == known.card.content
        and again.content_hash == known.content_hash
    )
    assert build(frame, card | {"title": "Other", "source": "elsewhere"}).content_hash == known.content_hash


@pytest.mark.parametrize(
    "change",
    [
        lambda f, c: f.__setitem__("arch", ["a", "b", "d"]),
        lambda f, c: f.__setitem__("key", ["a", "b", "b"]),
        lambda f, c: f.__setitem__("cell", [[0, 0, 1], [0, 0, 0, 0], [0, 0]]),
        lambda f, c: f.at.__setitem__((0, "ops"), [0, 2, 3]),
        lambda f, c: f.at.__setitem__((1, "edges"), [0, 1, 1, 3, 0, 2]),
        lambda f, c: f.at.__setitem__((1, "latency"), np.nan),
        lambda f, c: f.at.__setitem__((1, "run"), 0.4),
        lambda f, c: c["metrics"]["accuracy"].__setitem__("direction", "min"),
        lambda f, c: c["metrics"]["accuracy"].__setitem__("unit", "fraction"),
        lambda f, c: c["space"].__setitem__("ops", ["in", "y", "x", "out"]),
        lambda f, c: c["space"]["roles"].__setitem__("none", 1),
    ],
)
def test_whatever_makes_numbers_makes_another_table(change):
    def made():
        frame, card = table()
        card["metrics"] = {name: dict(metric) for name, metric in card["metrics"].items()}
        card["metrics"]["accuracy"]["repeats"] = ["run"]
        card["space"] = {**card["space"], "cells": 2}
        return frame.assign(run=[0.5, 0.6, 0.7]), card

    frame, card = made()
    change(frame, card)
    assert build(frame, card).content_hash != build(*made()).content_hash


def test_an_edited_card_is_another_table_although_it_names_the_content(tmp_path):
    path = write_benchmark(tmp_path, *table())
    before, text = read_benchmark(path), path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace('"direction": "min"', '"direction": "max"'))
    after = read_benchmark(path)
    assert after.content == before.content and after.content_hash != before.content_hash


def test_the_embedded_table_names_its_content():
    card = read_card(EMBEDDED / "digits101.json").as_dict()
    assert card.pop("content") == build(pd.read_parquet(EMBEDDED / "digits101.parquet"), card).content


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda f, c: f.__setitem__("arch", ["a", "b", "a"]), r"row 2 repeats architecture 'a'"),
        (lambda f, c: f.at.__setitem__((1, "ops"), [0, 9, 1, 3]), r"row 1, node 1: op 9 is unknown"),
        (lambda f, c: f.at.__setitem__((1, "ops"), [0, 2, 1, 1, 3]), r"row 1 has 5 nodes; the space allows 1 to 4"),
        (lambda f, c: f.at.__setitem__((0, "edges"), [0, 1, 2, 1]), r"row 0: edge 2 -> 1 does not go forward"),
        (
            lambda f, c: f.at.__setitem__((2, "edges"), [0, 3]),
            r"row 2: edge 0 -> 3 does not go forward within its 2 nodes",
        ),
        (lambda f, c: f.at.__setitem__((2, "edges"), [0, 1, 1]), r"row 2: edges must be a flat list"),
        (lambda f, c: f.__setitem__("accuracy", [0.1, np.inf, 0.2]), r"row 1 \(b\): 'accuracy' is infinite"),
        (lambda f, c: f.__setitem__("accuracy", [np.nan] * 3), r"metric 'accuracy' has no value at all"),
        (lambda f, c: f.__delitem__("latency"), r"column 'latency' is missing"),
        (
            lambda f, c: f.__setitem__("accuracy", [0.1, "good", 0.2]),
            r"row 1 \(b\): 'accuracy' is 'good', not a number",
        ),
        (lambda f, c: f.at.__setitem__((1, "ops"), [0, 65537, 1, 3]), r"row 1, node 1: op 65537 is unknown"),
        (
            lambda f, c: f.at.__setitem__((1, "ops"), [0, 1.9, 1, 3]),
            r"row 1: ops \[0, 1.9, 1, 3\] is no list of whole numbers",
        ),
        (lambda f, c: f.at.__setitem__((1, "ops"), "0 1 3"), r"row 1: ops '0 1 3' is no list of whole numbers"),
        (
            lambda f, c: f.at.__setitem__((1, "edges"), [0, 1, 0.5, 2]),
            r"row 1: edges \[0, 1, 0.5, 2\] is no list of whole numbers",
        ),
        (
            lambda f, c: f.at.__setitem__((1, "edges"), [0, float("nan")]),
            r"row 1: edges \[0, nan\] is no list of whole numbers",
        ),
        (lambda f, c: f.at.__setitem__((2, "edges"), None), r"row 2: edges None is no list of whole numbers"),
        (
            lambda f, c: f.__setitem__("cell", [[0] * 3, [0, 0, 300, 0], [0] * 2]),
            r"row 1, node 2: cell 300 is unknown; the space has 1 cell$",
        ),
        (lambda f, c: f.__setitem__("cell", [[0] * 3, [0], [0] * 2]), r"row 1: 1 cell numbers for 4 nodes"),
        (lambda f, c: f.__setitem__("key", [None] * 3), r"row 0: 'key' is empty"),
        (
            lambda f, c: c["metrics"]["accuracy"].__setitem__("repeats", ["accuracy/0"]),
            r"column 'accuracy/0' is missing",
        ),
        (lambda f, c: c["space"]["roles"].__setitem__("input", 7), r"role 'input' names op 7"),
    ],
)
def test_bad_tables_are_refused_by_row_and_nothing_is_written(tmp_path, damage, said):
    frame, card = table()
    damage(frame, card)
    with pytest.raises(DataError, match=said) as refused:
        write_benchmark(tmp_path, frame, card)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_broken_files_are_named(tmp_path):
    frame, card = table()
    path = write_benchmark(tmp_path, frame, card)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not the table that its card describes"):
        read_benchmark(path)
    with pytest.raises(DataError, match="not a readable Parquet table"):
        read_benchmark(path, checked=False)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match="not a readable benchmark card"):
        read_benchmark(path)
    path.with_suffix(".json").write_text(json.dumps({"name": "tiny"}))
    with pytest.raises(DataError, match="the card has no 'title'"):
        read_benchmark(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda c: 5, "should be a valid dictionary.*"),
        (lambda c: None, "should be a valid dictionary"),
        (lambda c: c | {"space": "x"}, "the card's 'space' is 'x'"),
        (lambda c: c | {"title": 5}, "the card's 'title' is 5: Input should be a valid string"),
        (lambda c: c | {"facts": []}, "the card's 'facts' is .*dictionary"),
        (lambda c: c | {"default_target": "speed"}, "the default target 'speed' is none of the metrics"),
        (
            lambda c: c | {"space": c["space"] | {"ops": "in x out"}},
            "the card's 'space / ops' is 'in x out': Input should be a valid list",
        ),
        (
            lambda c: c | {"space": c["space"] | {"max_nodes": "4"}},
            "the card's 'space / max_nodes' is '4': Input should be a valid integer",
        ),
        (
            lambda c: c | {"space": c["space"] | {"cells": 300}},
            "the card's 'space / cells' is 300: Input should be less than or equal to 127",
        ),
        (
            lambda c: c | {"space": c["space"] | {"roles": {"input": "in"}}},
            "the card's 'space / roles / input' is 'in': Input should be a valid integer",
        ),
        (
            lambda c: c | {"metrics": {"accuracy": {"direction": "up"}}},
            "the card's 'metrics / accuracy / direction' is 'up': Input should be 'max' or 'min'",
        ),
        (
            lambda c: c | {"facts": {"architectures": "many"}},
            "the card's 'facts / architectures' is 'many': Input should be a valid integer",
        ),
        (lambda c: c | {"facts": {"best": {"accuracy": "high"}}}, "the card's 'facts / best / accuracy' is 'high'"),
        (
            lambda c: c | {"space": c["space"] | {"max_nodes": 10**18}},
            "the card's 'space / max_nodes' is 1000000000000000000: .*less than or equal to 10000",
        ),
        (lambda c: {name: said for name, said in c.items() if name != "sha256"}, "the card has no 'sha256'"),
        (lambda c: c | {"metrics": {"accuracy": 5}}, "the card's 'metrics / accuracy' is 5"),
        (lambda c: c | {"metrics": {"ops": {}}}, "cannot be called 'ops'.*a name of its own"),
        (
            lambda c: c | {"metrics": {"accuracy": {"repeats": "accuracy"}}},
            "'metrics / accuracy / repeats' is 'accuracy': Input should be a valid list",
        ),
    ],
)
def test_cards_written_by_hand_are_refused_in_one_line(tmp_path, damage, said):
    path = write_benchmark(tmp_path, *table()).with_suffix(".json")
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(DataError, match=said) as refused:
        read_benchmark(path)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(str(path))


def test_a_subset_is_another_table():
    frame, card = table()
    whole = build(frame, dict(card, sha256="x"))
    part = whole.subset([2, 0])
    assert (
        part.arch.tolist() == ["c", "a"]
        and part.target().tolist() == [0.7, 0.5]
        and part.content_hash != whole.content_hash
    )
