import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader

from archrank.cli import main
from archrank.datasets import ArchrankError
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.encoders.gnn.gin import GIN
from archrank.eval.bench import compare as compare_module
from archrank.eval.bench import growth as growth_module
from archrank.eval.bench.case import Case
from archrank.eval.bench.compare import compare
from archrank.eval.bench.compare_command import compare_command, time_planning, timed
from archrank.eval.bench.conventional import PygNetwork, as_data
from archrank.eval.bench.growth import _too_much, grow
from archrank.eval.bench.prepared_case import prepare
from archrank.eval.bench.results import SampleFile, read, read_all
from archrank.eval.bench.server import MeasurementServer
from archrank.eval.bench.summary import growth, ratios, spread
from archrank.eval.bench.synthetic import random_cells, random_dags
from archrank.eval.bench.worker import Worker
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.network import Network
from archrank.reports.bench_page import write_page
from tests.tool import tool

TINY = Case("gcn[dim=8,layers=1]", "digits101", budget=14, members=2, predicted=20)


# ---- the conventional form is the same network ----


@pytest.mark.parametrize(
    "kind, options",
    [
        (NeuralPredictorGCN, {"dropout": 0.0}),
        (GIN, {}),
        (GIN, {"directed": True, "faithful": True}),
        (GatedGCN, {}),
        (GatedGCN, {"directed": True}),
        (FlowerFormer, {"layers": 2, "heads": 2, "attention_dropout": 0.0}),
    ],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype, close", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_torch_geometric_forms_equal_ours(cells, kind, options, training, dtype, close):
    graphs = cells.graphs.plain()[:24]
    torch.manual_seed(0)
    ours = Network(kind(cells.space, dim=16, **options), Head(hidden=(8,)), graphs[:2]).train(training)
    theirs = PygNetwork(ours).train(training).to(dtype)
    data = as_data(graphs, np.arange(24.0), len(cells.space.ops), theirs.encoder.transform)
    ours = ours.to(dtype)
    batch = next(iter(DataLoader(data, 24)))
    assert batch.y.tolist() == list(range(24))
    batch.x = batch.x.to(dtype)
    if kind is NeuralPredictorGCN:
        # Weights of edges are data, made in single precision.
        close = 1e-5
    a, b = ours(graphs)[0], theirs(batch)
    assert (a - b).abs().max() < close * max(1, a.abs().max())
    a.square().sum().backward()
    first = gradients(ours)
    ours.zero_grad()
    b.square().sum().backward()
    second = gradients(theirs)
    assert [size for size, _ in first] == [size for size, _ in second]
    assert np.allclose(
        [norm for _, norm in first], [norm for _, norm in second], rtol=1e-3 if close > 1e-6 else 1e-7, atol=1e-6
    )


def gradients(network):
    """Size and norm of every parameter's gradient: forms name, order and transpose their parameters differently."""
    return sorted((p.numel(), float(p.grad.norm())) for p in network.parameters() if p.grad is not None)


def test_what_has_no_torch_geometric_form_is_said(cells):
    graphs = cells.graphs.plain()[:2]
    for encoder in (
        FlowerFormer(cells.space, layers=1, mask_mode="target"),
        NeuralPredictorGCN(cells.space, layers=1, faithful=True),
    ):
        with pytest.raises(ArchrankError, match="no torch-geometric form"):
            PygNetwork(Network(encoder, Head(), graphs))


# ---- summaries ----


def test_exponents_are_those_of_the_upper_half():
    sizes = [1, 2, 4, 8, 16, 32, 64]
    actual = growth(sizes, [3.0 if n < 8 else 3 * (n / 8) ** 1.5 for n in sizes])
    assert actual.exponent == pytest.approx(1.5) and (actual.first, actual.last, actual.points) == (8, 64, 4)
    assert growth(sizes, [2.0] * 7).exponent == pytest.approx(0, abs=1e-12)
    assert growth([1, 1000], [1.0, 10.0]).exponent == pytest.approx(1 / 3)
    assert growth([5], [1.0]) is None


def test_ratios_are_formed_within_a_repeat():
    samples = [
        {"variant": variant, "repeat": k, "cpu": cpu * load}
        for k, load in enumerate((1, 10, 3))
        for variant, cpu in (("a", 6.0), ("b", 2.0))
    ]
    actual = ratios(samples, "a", "b", "cpu")
    assert (actual.median, actual.low, actual.high, actual.count) == (3, 3, 3, 3)
    assert ratios(samples, "a", "c", "cpu") is None and spread([]) is None


# ---- made-up architectures ----


@pytest.mark.parametrize("space, graphs", [random_cells(300), random_dags(5, 40)])
def test_made_up_graphs_are_architectures(space, graphs):
    assert not graphs.adj.tril().any() and space.max_nodes == graphs.nodes
    assert bool(graphs.reach[:, 0, 1:].all()) and bool(graphs.reach[:, :-1, -1].all())
    assert set(graphs.ops[:, 0].tolist()) == {0} and set(graphs.ops[:, -1].tolist()) == {len(space.ops) - 1}
    assert np.array_equal(space.support, graphs.adj.any(0).numpy())


# ---- measuring ----


def test_a_desk_counts_what_it_measures():
    server = MeasurementServer()
    ready = server.prepare(asdict(TINY), "ensemble")
    # 14 labels in batches of 7: two steps an epoch, 300 epochs.
    assert (ready["steps"], ready["per_epoch"], ready["members"]) == (600, 2, 2)
    actual = server.train(updates=5)
    assert actual["measured"] == 5 and actual["wall"] > 0 and actual["members"] == 2 and actual["peak"] >= ready["idle"]
    assert server.predict()["measured"] == 40
    assert 0 <= server.python_share()["share"] < 1
    assert server.prepare(asdict(TINY), "torch-geometric")["apart"] < 1e-5
    assert server.train(updates=5)["measured"] == 5 and server.predict()["measured"] == 20


def test_the_floor_counts_matrix_products():
    case = Case("bag_of_ops", "digits101", budget=16, members=2)
    server = MeasurementServer()
    server.prepare(asdict(case), "ensemble")
    width = prepare(case).job.build(prepare(case).job.members[0]).mean.numel()
    forward = 2 * (width * 128 + 128 * 128 + 128)
    bound = server.roofline()
    assert bound["score_flops"] == forward
    # Backward: gradients of all weights, and of all inputs but the features.
    assert bound["step_flops"] == 16 * (3 * forward - 2 * width * 128)
    weights = 4 * (width * 128 + 128 + 128 * 128 + 128 + 128 + 1)
    assert weights < bound["step_bytes"] < weights + 16 * 4 * 20 * 128
    assert 1e8 < bound["flops_s"] < 1e13 and 1e8 < bound["bytes_s"] < 1e13


@pytest.mark.parametrize("encoder", ["gcn[dim=16]", "gin[dim=16]", "gated_gcn[dim=16]"])
def test_a_step_of_a_graph_network_is_two_to_three_times_a_forward_pass(encoder):
    server = MeasurementServer()
    server.prepare(asdict(Case(encoder, "digits101", budget=16, members=2, recipe="common")), "ensemble")
    bound = server.roofline()
    assert 16 * 2 * bound["score_flops"] < bound["step_flops"] < 16 * 3.2 * bound["score_flops"]


def test_a_worker_reports_errors_in_one_line():
    with Worker() as worker:
        with pytest.raises(ArchrankError, match=r"trained by scikit-learn"):
            worker.ask("prepare", case=asdict(Case("path+gp", "digits101")), variant="ensemble")
        worker.process.kill()
        with pytest.raises(ArchrankError, match=r"died \(signal 9\)"):
            worker.ask("train")


class Inline:
    """A worker without a process."""

    def __init__(self, threads=1):
        self.server, self.process = MeasurementServer(threads), type("Process", (), {"is_alive": lambda self: True})()

    def ask(self, what, **arguments):
        return getattr(self.server, what)(**arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def measured(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_module, "Worker", Inline)
    monkeypatch.setattr(growth_module, "Worker", Inline)
    quiet = {"log": lambda text: None}
    compare(
        [TINY, Case("bag_of_ops", "digits101", budget=16, members=2)],
        ["ensemble", "torch-geometric"],
        SampleFile(tmp_path, "encoders", command="archrank x"),
        repeats=2,
        updates=2,
        **quiet,
    )
    for part, sizes in (("members", [1, 2]), ("nodes", [5, 9]), ("space", [50, 100])):
        grow(
            [part],
            ["gcn[dim=8,layers=1]"],
            lambda name: SampleFile(tmp_path, name),
            benchmark="digits101",
            sizes=sizes,
            repeats=1,
            updates=2,
            **quiet,
        )
    return tmp_path


def test_a_run_leaves_samples_and_a_page(measured, tmp_path):
    samples = read_all([measured])
    of = [s for s in samples if s["case"] == TINY.encoder]
    assert [(s["variant"], s["repeat"]) for s in of if s["what"] == "train"] == [
        (variant, k) for k in (0, 1) for variant in ("ensemble", "torch-geometric")
    ]
    missing = [s for s in samples if s["what"] == "missing"]
    assert [s["case"] for s in missing] == ["bag_of_ops"] and "no torch-geometric form" in missing[0]["why"]
    sizes = [s for s in samples if s["part"] == "growth-space" and s["what"] == "size"]
    assert [s["measured"] for s in sizes] == [50, 100]
    written = write_page(samples, tmp_path / "docs")
    page = written[0].read_text()
    for said in (
        "not measured: no GPU was available",
        "`archrank x`".strip("`"),
        "## How cost grows",
        "grows with the power",
        "| gcn[dim=8,layers=1] | torch-geometric |",
    ):
        assert said in page
    assert "nan" not in page and all(path.read_text().startswith("<?xml") for path in written[1:]) and len(written) == 5
    for path in written[1:]:
        assert f"figures/{path.name}" in page
    assert [path.read_text() for path in write_page(samples, tmp_path / "again")] == [
        path.read_text() for path in written
    ]


def test_measuring_a_case_again_replaces_its_samples(tmp_path):
    results = SampleFile(tmp_path, "encoders")
    for case in ("a", "b", "a"):
        results.begin(case)
        results.add("train", wall=1.0)
        results = SampleFile(tmp_path, "encoders")
    assert [s["case"] for s in read(tmp_path / "encoders.json")["samples"]] == ["b", "a"]
    (tmp_path / "encoders.json").write_text("{}")
    with pytest.raises(ArchrankError, match="is not a file of"):
        SampleFile(tmp_path, "encoders")
    with pytest.raises(ArchrankError, match="no results of"):
        read_all([tmp_path / "nowhere"])


def test_sizes_that_would_not_fit_are_left_out():
    assert _too_much(60, 2, 30, 0.1, 1e9, 0.5e9) == ""
    assert "GiB" in _too_much(600, 2, 60, 0.1, 1e9, 0.5e9)
    assert "40 s a step" in _too_much(20, 2, 10, 10.0, 1e6, 1e6)


# ---- other commands ----


def test_a_command_is_timed_and_a_failing_one_is_one_line():
    actual = timed([sys.executable, "-c", "x = bytearray(200_000_000); sum(range(2_000_000))"])
    assert actual["wall"] > 0 and actual["cpu"] > 0 and actual["peak"] > 200_000_000
    with pytest.raises(ArchrankError, match=r"ended with exit code 3: no such thing") as error:
        timed([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])
    assert "\n" not in str(error.value)
    with pytest.raises(ArchrankError, match=r"cannot start 'no-such-program'"):
        timed(["no-such-program"])


def test_compare_command_takes_turns(tmp_path, monkeypatch):
    order = []

    def fake(command, variables):
        order.append(command[0])
        return {"wall": 2.0 if command[0] == "theirs" else 1.0, "cpu": 1.0, "peak": 1, "starter": 1}

    monkeypatch.setattr("archrank.eval.bench.compare_command.timed", fake)
    compare_command("theirs --fast", TINY, SampleFile(tmp_path, "against"), repeats=2, log=lambda text: None)
    assert order == [sys.executable, "theirs"] * 2
    page = write_page(read_all([tmp_path]), tmp_path)[0].read_text()
    # They train one predictor, we train two in half the time.
    assert "2.00 (2.00 to 2.00) times as long, 4.00 (4.00 to 4.00) times per predictor" in page


def test_the_plan_that_is_timed_has_10_000_trials(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "archrank.eval.bench.compare_command.timed",
        lambda command: asked.append(command) or {"wall": 1.5, "cpu": 1.0, "peak": 1, "starter": 1},
    )
    time_planning(SampleFile(tmp_path, "plan"), repeats=2, log=lambda text: None)
    with pytest.raises(SystemExit):
        main(asked[0][3:])
    assert "10000 trials, 0 stored" in capsys.readouterr().out
    (limit,) = tool("bench_limits").limits(read_all([tmp_path]))
    assert (limit.limit, limit.measured, limit.met) == ("under 2 s", "1.50 s (1.50 to 1.50)", True)
    assert "under 2 s" not in write_page(read_all([tmp_path]), tmp_path)[0].read_text()


@pytest.mark.parametrize(
    "words, said",
    [
        (["gnc"], "unknown encoder 'gnc'"),
        (["path+gp"], "trained by scikit-learn"),
        (["gcn", "--variants", "alone"], "write --variants ensemble,alone"),
        (["--growth", "node"], "did you mean nodes"),
        (["--growth", "all", "--sizes", "3"], "exactly one part"),
        (["--growth", "nodes", "--sizes", "3;4"], "give whole numbers"),
        (["gcn", "--device", "tpu"], "unknown device 'tpu'"),
        (["gcn", "--page", "nowhere"], "no results of `archrank bench` in nowhere"),
    ],
)
def test_wrong_usage_is_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["bench", *words])
    answer = capsys.readouterr().err
    assert stop.value.code == 2 and said in answer and len(answer.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_failing_command_keeps_what_was_measured_before(tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "bench",
                "bag_of_ops",
                "-b",
                "digits101",
                "--budget",
                "8",
                "--members",
                "1",
                "--updates",
                "1",
                "--against",
                "no-such-program x",
                "-o",
                str(out),
            ]
        )
    assert stop.value.code == 2 and "cannot start 'no-such-program x'" in capsys.readouterr().err
    samples = read(out / "against.json")["samples"]
    assert [s["what"] for s in samples] == ["ready", "ready", "timed"] and samples[-1]["wall"] > 0
