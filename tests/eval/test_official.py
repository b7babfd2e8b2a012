"""Official codes beside ours: checkouts are found and imported from; what a loop does is counted on a made-up one."""

import json
import sys
from dataclasses import asdict

import pytest

from archrank.cli import main
from archrank.datasets import ArchrankError
from archrank.eval.bench import compare as compare_module
from archrank.eval.bench.case import Case
from archrank.eval.bench.official import CODES
from archrank.eval.bench.official.checkout import arguments, enter, find
from archrank.eval.bench.server import MeasurementServer
from archrank.reports.bench_official import beside_official
from tests.eval.test_bench import Inline

# What `arch2vec` asks of its official code, and no more; it imports something that nobody has.
MODEL = """
import torch
class Model(torch.nn.Linear):
    def __init__(self, input_dim, hidden_dim, latent_dim, num_hops, num_mlp_layers, dropout, **more):
        super().__init__(input_dim, input_dim)
    def forward(self, ops, adj):
        return self.weight.new_ones(1) * super().forward(ops), adj, ops, ops
def VAEReconstructed_Loss(**more):
    return lambda guess, true, mean, spread: (guess[0] - true[0]).square().mean()
"""
CHECKOUT = {
    "models/pretraining_nasbench201.py": "",
    "models/model.py": MODEL,
    "models/configs.py": "configs = [dict(GAE={}, loss={}, prep={})] * 5",
    "utils/utils.py": "def preprocessing(adj, ops): return adj, ops, lambda a, o: (a, o)",
}


@pytest.fixture
def imports(monkeypatch):
    """What is imported, and where from, as before."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_checkout_is_found_by_itself_or_beside_others(tmp_path):
    inside = written(tmp_path / "b", CHECKOUT)
    marker = CODES["arch2vec"].marker
    assert find(inside, marker) == find(tmp_path, marker) == inside and find(tmp_path / "none", marker) is None


def test_what_is_absent_is_only_missed_when_it_is_called(tmp_path, imports):
    text = "import nobody_has_this.deep as d\nfrom nobody_has_this import Thing\nclass Mine(Thing): pass"
    written(tmp_path, {"pack_of_a_checkout/__init__.py": "1 / 0", "pack_of_a_checkout/part.py": text})
    enter(tmp_path, absent=("nobody_has_this",), bare=("pack_of_a_checkout",))
    from pack_of_a_checkout import part

    with pytest.raises(ImportError, match="nobody_has_this is missing"):
        part.Mine()
    with pytest.raises(ModuleNotFoundError):
        import nobody_has_that  # noqa: F401
    with arguments(["--x"]):
        assert sys.argv == ["official", "--x"]


def test_steps_are_those_of_the_checkout(tmp_path, imports):
    written(tmp_path, CHECKOUT)
    case = asdict(Case("arch2vec[batch=7,hidden=8,layers=1]", "digits101", budget=14, members=1, pretraining=True))
    samples = {}
    for way in ("ensemble", "official"):
        server = MeasurementServer()
        ready = server.prepare(case, way, tmp_path)
        assert (ready["recipe"], ready["batch"], ready["steps"], ready["members"]) == ("pre-training", 7, 4400, 1)
        samples[way] = server.train(updates=3)
    assert {way: sample["measured"] for way, sample in samples.items()} == {"ensemble": 3, "official": 3}
    assert all(sample["cpu"] > 0 for sample in samples.values())


@pytest.mark.parametrize(
    "case, said",
    [
        (Case("gin", "digits101"), "no official code of 'gin' can be measured; there is flowerformer, gcn"),
        (Case("flowerformer", "digits101"), r"no checkout of y0ngjaenius/CVPR2024_FLOWERFormer .* clone it there"),
        (Case("path", "digits101", pretraining=True), "'path' has no pre-training of its own"),
    ],
)
def test_what_cannot_be_measured_is_said(case, said, tmp_path):
    with pytest.raises(ArchrankError, match=said):
        MeasurementServer().prepare(asdict(case), "official", tmp_path)


def test_the_command_writes_both_ways(tmp_path, monkeypatch, imports):
    monkeypatch.setattr(compare_module, "Worker", Inline)
    written(tmp_path / "code", CHECKOUT)
    words = f"bench arch2vec[hidden=8,layers=1] -b digits101 --budget 14 --updates 2 --repeats 1 --against {tmp_path / 'code'}"
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), "-o", str(tmp_path / "out")])
    assert not stop.value.code
    samples = json.loads((tmp_path / "out" / "official.json").read_text())["samples"]
    assert [(s["variant"], s["what"]) for s in samples] == [
        (way, what) for what in ("ready", "train") for way in ("ensemble", "official")
    ]
    assert (
        "| arch2vec[hidden=8,layers=1] | [MSU-MLSys-Lab/arch2vec]" in (tmp_path / "out" / "performance.md").read_text()
    )


def test_compiled_steps_stand_beside_the_official_code():
    of = {"part": "official", "case": "gcn", "recipe": "paper", "batch": 32}
    ways = {"ensemble": (9, 4.0), "compiled": (9, 2.0), "official": (1, 8.0)}
    samples = [of | {"what": "ready", "variant": way, "members": members} for way, (members, _) in ways.items()]
    samples += [of | {"what": "train", "variant": way, "repeat": 0, "cpu": cost} for way, (_, cost) in ways.items()]
    row = next(line for part in beside_official(samples) for line in part.splitlines() if line.startswith("| gcn"))
    cells = [cell.strip() for cell in row.split("|")]
    assert (
        cells[4:9] == ["8 s", "4 s", "2 s", "–", "9"] and cells[9].startswith("2.00") and cells[10].startswith("4.00")
    )
