"""Runs on a Ray cluster of three nodes: equal to the local runner's to the bit, whatever dies."""

from typing import Any

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.datasets.plugins.identity import source_hash
from archrank.eval.engine.recipes import SEARCH
from archrank.eval.runners.ray import imported
from archrank.eval.runners.ray_pool import RayPool
from archrank.eval.runners.run import ProgressCallback, run
from archrank.eval.runners.travelling import pack, unpack
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.run import run_searches
from archrank.eval.search.traces import read_searches
from archrank.eval.trials.groups import make_groups
from archrank.eval.trials.specs import parse, parse_list
from archrank.eval.trials.store import Store
from tests.eval.runs import PLUGIN, content, plan_of

ENCODERS = "path+ridge,bag_of_ops+ridge"


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'archrank[ray]'")
    imported()
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made: Any = Cluster(initialize_head=True, head_node_args=small)
    made.small = small
    for _ in range(2):
        made.add_node(**small)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """An encoder of a user's file, which takes its layer from a module beside it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "layer.py").write_text("from torch import nn\nLayer = nn.Linear\n")
    text = PLUGIN.replace("nn.Linear(", "Layer(").replace("from archrank", "from layer import Layer\nfrom archrank")
    (folder / "mine.py").write_text(text)
    return folder / "mine.py"


@pytest.fixture(scope="module")
def expected(cells, plugin, tmp_path_factory):
    store = tmp_path_factory.mktemp("local") / "store"
    run(plan_of(cells, f"{plugin}:Mine,{ENCODERS}", recipe="quick"), store, workers=1)
    return content(store)


class KillsANode(ProgressCallback):
    """Takes a node out of the cluster when the first ensemble trains, and adds another."""

    def __init__(self, cluster):
        self.cluster = cluster

    def on_event(self, number, event, value):
        if event == "started" and (cluster := self.cluster) is not None:
            self.cluster = None
            cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)
            cluster.add_node(**cluster.small)


def test_a_run_with_a_node_killed_is_the_local_runs_to_the_bit(cluster, cells, plugin, expected, tmp_path):
    plan = plan_of(cells, f"{plugin}:Mine,{ENCODERS}", recipe="quick")
    summary = run(plan, tmp_path, runner="ray", address=cluster.address, callback=KillsANode(cluster))
    assert (summary.trained, summary.failed) == (len(plan.trials), 0)
    assert content(tmp_path) == expected
    assert not [*tmp_path.glob("claims/*"), *tmp_path.glob("ensembles/*")]
    assert run(plan, tmp_path, runner="ray", address=cluster.address).kept == len(plan.trials)


def test_an_encoder_that_kills_its_worker_fails_alone(cluster, cells, tmp_path, monkeypatch):
    monkeypatch.setattr("archrank.eval.runners.ray.RETRIES", 0)  # each takes a fresh worker
    (tmp_path / "dying.py").write_text(
        PLUGIN.replace(
            "x = self.embed",
            "import os\n        if self.training and len(graphs) > 2: os.abort()\n        x = self.embed",
        )
    )
    plan = plan_of(cells, f"{tmp_path / 'dying.py'}:Mine,path+ridge", budgets=(12,), seeds=1)
    summary = run(plan, tmp_path / "store", runner="ray", address=cluster.address)
    assert (summary.trained, summary.failed) == (1, 1)
    (failed,) = [record for record in Store(tmp_path / "store").records() if record.status == "failed"]
    assert failed.error.type == "WorkerLost" and "Ray gave it up" in failed.error.message


COUNTS = """
import torch
from archrank import encoding
@encoding("trained_counts", pretrained=True)
def trained_counts(graphs, space):
    \"\"\"Counts of operations, said to be learned.\"\"\"
    return torch.stack([((graphs.ops == op) & graphs.mask).sum(-1) for op in range(len(space.ops))], -1).double()
"""


def test_searches_on_a_cluster_are_the_local_ones_to_the_bit(cluster, cells, plugin, tmp_path):
    (tmp_path / "counts.py").write_text(COUNTS)
    table = cells.subset(range(80))
    specs = parse_list(f"{plugin}:Mine,{tmp_path / 'counts.py'}:trained_counts+ridge")
    quick = SEARCH.model_copy(update={"updates": 5})
    plan = plan_searches(
        specs, benchmarks=[table], strategies=["random", "predictor"], queries=24, repeats=2, recipe=quick
    )
    here, there, shares = tmp_path / "here", tmp_path / "there", []
    assert run_searches(plan, here, workers=1).done == 3
    summary = run_searches(plan, there, runner="ray", address=cluster.address, workers=2, on_progress=shares.append)
    assert (summary.done, summary.failed) == (3, []) and shares[-1] == pytest.approx(1)
    local, remote = ({record.key: record.rows for record in read_searches([store])[0]} for store in (here, there))
    assert remote == local and len(local) == 3
    names = [sorted(path.name for path in (store / "pretraining").iterdir()) for store in (here, there)]
    assert names[0] == names[1] and len(names[0]) == 1
    with pytest.raises(ArchrankError, match="knows no address"):
        run_searches(plan, here, address=cluster.address)


def test_calls_of_a_pool_are_tasks(cluster):
    with RayPool(cluster.address) as pool:
        assert pool.size == 3
        divide = lambda number, by: divmod(number, by)  # noqa: E731
        assert [done.result() for done in [pool.submit(divide, 7, by) for by in (2, 3)]] == [(3, 1), (2, 1)]
        with pytest.raises(ZeroDivisionError):
            pool.submit(divide, 7, 0).result()


def test_a_users_source_travels_and_is_what_was_planned(cells, plugin, tmp_path):
    (group,) = make_groups(plan_of(cells, f"{plugin}:Mine", budgets=(12,)).trials, set(), Store(tmp_path / "store"))
    luggage = pack(group.members[0].spec.info)
    there = unpack(group, luggage, tmp_path / "there").members[0].spec.info
    assert there.path != plugin and source_hash(there.path) == source_hash(plugin) and there.load().__name__ == "Mine"
    (tmp_path / "there" / "layer.py").write_text("from torch import nn\nLayer = nn.Identity\n")
    changed = type(luggage)(luggage.main, luggage.files | {"layer.py": b"Layer = None"})
    with pytest.raises(ArchrankError, match="is not the one that was planned"):
        unpack(group, changed, tmp_path / "elsewhere")
    assert pack(parse("gcn")[0].info) is None
    (given,) = make_groups(
        plan_of(cells, "gin[dim=8,pretext=counts(updates=2)]", budgets=(12,)).trials, set(), Store(tmp_path / "store")
    )
    assert unpack(given, None, tmp_path) == given  # its planned source is that of what it is given, too


def test_what_makes_no_sense_is_said(cells, tmp_path):
    plan = plan_of(cells, "path+ridge", budgets=(12,), seeds=1)
    with pytest.raises(ArchrankError, match="runner processes trains on this machine"):
        run(plan, tmp_path, address="auto")
    with pytest.raises(ArchrankError, match="leave one of them out"):
        run(plan, tmp_path, runner="ray", workers=0)
