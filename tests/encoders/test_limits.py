"""What a plan is told about an encoder and a space is what the encoder itself says there."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from archrank.datasets.benchmark import Benchmark, build
from archrank.datasets.errors import ArchrankError
from archrank.encoders import catalog
from archrank.eval.trials.specs import parse
from archrank.eval.trials.trial import make_plan
from tests.encoders import spaces

PATHS = (
    "path",
    "path_truncated",
    "path_categorical",
    "path_truncated_categorical",
    "path_continuous",
    "canonical_path",
)
PAIRS = ("adjacency", "adjacency_categorical", "adjacency_continuous")


def unfit(name, config, table):
    """Why a plan leaves a built-in encoder out of a table."""
    return catalog.unsupported(catalog.find(name)[0], config, table)


def test_a_built_in_class_is_asked_too(tmp_path):
    """Where its `supports` is a method of its own; where it is a function of another module, only that is imported."""
    (tmp_path / "mine.py").write_text(SUPPORTS)
    info = replace(catalog.find(f"{tmp_path}/mine.py:Narrow")[0], origin="built-in")
    table = chains([9], 2)
    assert catalog.unsupported(info, {"most": 3}, table) == "11 nodes are more than 3"
    assert catalog.unsupported(info, {"most": 11}, table) is None
    (tmp_path / "bare.py").write_text(
        "from archrank import encoder\nfrom archrank.encoders.cross_attention.limits import supports as fits\n"
        "@encoder('bare')\nclass Bare:\n    supports = staticmethod(fits)\n    raise RuntimeError('imported')\n"
    )
    info = replace(catalog.find(f"{tmp_path}/bare.py:Bare")[0], origin="built-in")
    assert info.limits == "archrank.encoders.cross_attention.limits:supports"
    assert "128" in catalog.unsupported(info, {}, chains([150], 2))


SUPPORTS = """
from torch import nn
from archrank import encoder, encoding


class Base(nn.Module):
    def __init__(self, space, *, most: int = 9):
        super().__init__()

    @staticmethod
    def supports(space, most=9):
        return f"{space.max_nodes} nodes\\n are more than {most}" if space.max_nodes > most else None


@encoder("dense_adjacency")
class Dense(nn.Module):
    def __init__(self, space):
        super().__init__()


@encoder("narrow")
class Narrow(Base):
    pass


def fails(space):
    return 1 // 0


@encoding("broken", supports=fails)
def broken(graphs, space):
    return graphs.mask.double()
"""


def benchmark(space, graphs) -> Benchmark:
    """The graphs as a benchmark with a made-up score."""
    nodes = graphs.mask.sum(1).tolist()
    frame = pd.DataFrame(
        {
            "arch": [str(i) for i in range(len(graphs))],
            "ops": [graphs.ops[i, :n].numpy() for i, n in enumerate(nodes)],
            "edges": [graphs.adj[i].nonzero().flatten().numpy() for i in range(len(graphs))],
            "cell": [graphs.cell[i, :n].numpy() for i, n in enumerate(nodes)],
            "score": np.arange(len(graphs), dtype=float),
        }
    )
    card = {
        "name": space.name,
        "title": "",
        "space": space.to_card(),
        "metrics": {"score": {}},
        "default_target": "score",
        "sha256": "",
    }
    return build(frame, card)


def chains(lengths, letters) -> Benchmark:
    """Sixty chains with as many operations as `lengths` says, in turn."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, letters + 1, lengths[i % len(lengths)]).tolist() for i in range(60)]
    frame = pd.DataFrame(
        {
            "arch": [str(i) for i in range(60)],
            "ops": [[0, *row, letters + 1] for row in rows],
            "edges": [[node for v in range(len(row) + 1) for node in (v, v + 1)] for row in rows],
            "score": np.arange(60.0),
        }
    )
    space = {
        "name": f"chains{letters}",
        "ops": ["input", *map(str, range(letters)), "output"],
        "max_nodes": max(lengths) + 2,
        "cells": 1,
        "roles": {"input": 0, "output": letters + 1},
    }
    return build(
        frame,
        {
            "name": "chains",
            "title": "",
            "space": space,
            "metrics": {"score": {}},
            "default_target": "score",
            "sha256": "",
        },
    )


def made(kind):
    if kind == "nasbench201":
        cells = np.random.default_rng(0).integers(1, 6, (60, 6)).tolist()
        return benchmark(spaces.nasbench201(), spaces.nasbench201_graphs(cells))
    if kind == "nasbench101":
        return benchmark(spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 60, 0))
    if kind == "darts":
        return benchmark(*spaces.darts(60, 0)[:2])
    return {
        "natsbench_size": lambda: chains([5], 8),
        "macro": lambda: chains([4, 5, 6], 4),
        "long": lambda: chains([150, 220], 5),
    }[kind]()


@pytest.mark.parametrize("kind", ["nasbench201", "nasbench101", "darts", "natsbench_size", "macro", "long"])
def test_told_in_advance_is_what_the_encoder_says(kind):
    table = made(kind)
    refused = set()
    for name in (*PATHS, *PAIRS):
        try:
            catalog.find(name)[0].load()(table.graphs, table.space)
        except ArchrankError:
            refused.add(name)
    # On chains the code exists and says nothing: one bit per architecture.
    useless = {"path", "path_continuous", "canonical_path"} if kind == "macro" else set()
    assert {name for name in (*PATHS, *PAIRS) if unfit(name, {}, table)} == refused | useless
    for name in useless:
        assert "every architecture is a chain" in unfit(name, {}, table)
        assert (
            (
                catalog.find(name)[0].load()(table.graphs, table.space)[:, : -1 if name == "path_continuous" else None]
                > 0
            )
            .sum(1)
            .eq(1)
            .all()
        )
    assert bool(refused) == (kind in ("natsbench_size", "macro", "long"))
    assert "adjacency" not in refused or kind == "long"


def test_limits_of_nodes_are_the_encoders_own():
    from archrank.encoders.cross_attention import cate

    table = made("long")
    with pytest.raises(ArchrankError, match="128"):
        cate.cate(table.graphs, table.space)
    assert unfit("cate", {}, table) == "architectures have up to 222 nodes, cate holds 128"
    assert (
        unfit("dvae", {}, table) == "architectures have up to 222 nodes, dvae holds 64"
        and unfit("gcn", {}, table) is None
    )


def test_an_encoder_of_ones_own_is_asked_and_not_its_name(tmp_path):
    (tmp_path / "mine.py").write_text(SUPPORTS)
    table = made("long")
    adjacency, narrow = (parse(f"{tmp_path / 'mine.py'}:{name}", "here")[0] for name in ("Dense", "Narrow"))
    assert adjacency.info.name == "dense_adjacency" and catalog.unsupported(adjacency.info, {}, table) is None
    assert catalog.unsupported(narrow.info, {}, table) == "222 nodes are more than 9"
    assert catalog.unsupported(narrow.info, {"most": 300}, table) is None
    assert (
        catalog.unsupported(parse(f"{tmp_path / 'mine.py'}:Narrow")[0].info, {}, table) is None
    )  # planning runs no code of users
    plan = make_plan([adjacency, narrow], benchmarks=[table], budgets=[10], seeds=1)
    assert plan.left_out == [("narrow on chains", "222 nodes are more than 9")] and len(plan.trials) == 1
    (broken,) = parse(f"{tmp_path / 'mine.py'}:broken+ridge", "here")
    with pytest.raises(
        ArchrankError, match=r"encoder broken: its `supports` fails \(mine.py, line 27\): ZeroDivisionError"
    ):
        make_plan([broken], benchmarks=[table], budgets=[10], seeds=1)


def test_options_count():
    table = made("nasbench101")
    assert unfit("path", {"longest": 2}, table) is None
    assert "need more than" in unfit("path", {"longest": 200}, made("long"))


def test_a_plan_leaves_out_what_cannot_be_and_says_why():
    table = made("natsbench_size")
    specs = [spec for name in ("canonical_path+ridge", "adjacency+ridge") for spec in parse(name)]
    plan = make_plan(specs, benchmarks=[table], budgets=[10], seeds=2)
    assert {item.spec.label for item in plan.trials} == {"adjacency+ridge"} and len(plan.trials) == 2
    ((what, why),) = plan.left_out
    assert what == "canonical_path+ridge on chains" and "5 operations or more" in why and "\n" not in why
    with pytest.raises(ArchrankError, match="nothing is left to run: canonical_path"):
        make_plan(specs[:1], benchmarks=[table], budgets=[10], seeds=2)


def test_a_suite_leaves_out_an_optional_benchmark_that_is_too_small_and_refuses_a_needed_one(
    tmp_path, monkeypatch, capsys
):
    from archrank.cli import main

    monkeypatch.setenv("ARCHRANK_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    suite = tmp_path / "mine.yaml"
    for needed, optional, code in (["digits101"], ["tiny"], 0), (["tiny"], [], 2):
        _tiny(tmp_path)
        suite.write_text(
            json.dumps(
                {"benchmarks": needed, "optional": optional, "encoders": ["path+ridge"], "budgets": [20], "seeds": 1}
            )
        )
        with pytest.raises(SystemExit) as stopped:
            main(["plan", "--suite", str(suite)])
        assert stopped.value.code == code
        assert "tiny" in capsys.readouterr().err


def _tiny(folder):
    """A table of one's own with six cells."""
    from archrank.datasets.benchmark import write_benchmark

    frame = pd.DataFrame(
        {"arch": list("abcdef"), "ops": [[0, 1, 2]] * 6, "edges": [[0, 1, 1, 2]] * 6, "score": np.arange(6.0)}
    )
    space = {
        "name": "tiny",
        "ops": ["input", "x", "output"],
        "max_nodes": 3,
        "cells": 1,
        "roles": {"input": 0, "output": 2},
    }
    write_benchmark(
        folder,
        frame,
        {"name": "tiny", "title": "tiny", "space": space, "metrics": {"score": {}}, "default_target": "score"},
    )


def test_every_built_in_encoder_is_asked_without_torch():
    slow = [
        i.name for i in catalog.known().values() if i.origin == "built-in" and "supports" in i.hooks and not i.limits
    ]
    assert slow == []
