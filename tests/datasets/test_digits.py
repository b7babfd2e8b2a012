"""digits101: the batched program, training, the builder's journal, verification, the shipped table."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from archrank.datasets.benchmark import read_benchmark
from archrank.datasets.digits101 import builder
from archrank.datasets.digits101.builder import BuildPlan, read_journal, run, single_thread
from archrank.datasets.digits101.card import assemble, noise_ceiling, reliability
from archrank.datasets.digits101.network import SharedProgram, Skeleton, cost, vertex_channels
from archrank.datasets.digits101.task import DigitsTask, digits
from archrank.datasets.digits101.training import DigitsRecipe, Trainer, rate, shift_weights, shifted
from archrank.datasets.digits101.verify import verify
from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import NB101Cell

DIRECT = NB101Cell((0, 4), ((0, 1),))
CHAIN = NB101Cell((0, 2, 3, 4), ((0, 1), (1, 2), (2, 3)))
# three predecessors of the output, a skipped vertex, cut inputs, a direct edge
WIDE = NB101Cell((0, 1, 2, 3, 2, 4), ((0, 1), (1, 2), (1, 3), (0, 4), (2, 5), (3, 5), (4, 5), (0, 5)))
NARROW = NB101Cell((0, 2, 1, 4), ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)))
CELLS = [DIRECT, CHAIN, WIDE, NARROW]
SMALL = Skeleton(widths=(6, 8))
QUICK = DigitsRecipe(epochs=2, batch=20, skeleton=SMALL)


@pytest.fixture(scope="module")
def task():
    return digits(train=60, validation=20, test=40)


@pytest.fixture(autouse=True)
def one_thread():
    with single_thread():
        yield


def test_channels_follow_the_official_rule():
    assert vertex_channels(WIDE, 8, 8) == [
        8,
        3,
        3,
        3,
        2,
        8,
    ]  # 8 over three predecessors; vertex 1 as its widest successor
    assert vertex_channels(CHAIN, 4, 8) == [4, 8, 8, 8]
    assert vertex_channels(DIRECT, 4, 8) == [4, 8]
    assert vertex_channels(NARROW, 8, 8) == [8, 4, 4, 8]


def test_cost_is_that_of_a_network_counted_by_hand():
    skeleton = Skeleton(widths=(4, 6), stem_stride=2, pool=2)
    stem, first, second, head = 4 * 9, 4 * 4, 4 * 6, 6 * 10
    assert cost(DIRECT, 10, 8, skeleton) == (
        stem + 2 * 4 + first + 2 * 4 + second + 2 * 6 + head + 10,
        2 * (16 * stem + 16 * first + 4 * second + head),
    )


def by_hand(cell, program, images, stage_index, x, training):
    """One stage of a one-member program written down directly from the cell's graph."""
    stage, last = program.stages[stage_index], len(cell.ops) - 1
    unit = lambda u, x: u(x, training, 0.1)  # noqa: E731
    channels = vertex_channels(cell, x.shape[1], program.skeleton.widths[stage_index])
    states = {}
    for v in range(1, last):
        vertex, total = stage.vertices[v - 1], 0
        for u in range(1, v):
            if cell.matrix[u, v]:
                total = total + states[u][:, : channels[v]]
        if cell.matrix[0, v]:
            total = total + unit(vertex.entry, x)
        (_, _, conv) = vertex.branches[0]
        states[v] = torch.nn.functional.max_pool2d(total, 3, 1, 1) if conv is None else unit(conv, total)
        assert states[v].shape[1] == channels[v]
    ends = [states[v] for v in range(1, last) if cell.matrix[v, last]]
    output = torch.cat(ends, 1) if ends else 0
    return output + unit(stage.direct, x) if cell.matrix[0, last] else output


@pytest.mark.parametrize("cell", CELLS)
def test_one_member_computes_the_cell_s_graph(cell):
    program = SharedProgram([cell], [0], 10, SMALL)
    images = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        x = program.stem(images, True, 0.0, 2)
        x = by_hand(cell, program, images, 0, x, True)
        x = by_hand(cell, program, images, 1, torch.nn.functional.max_pool2d(x, 2), True)
        expected = x.mean((2, 3)) @ program.head[0] + program.bias[0]
        torch.testing.assert_close(program(images, training=True)[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_many_cells_in_one_program_equal_each_alone_in_value_and_gradient():
    together = SharedProgram(CELLS, [0, 1], 10, SMALL)
    images, targets = torch.randn(12, 8, 8, 8), torch.randint(10, (12,))

    def gradients(program, images):
        logits = program(images, training=True)
        loss = sum(torch.nn.functional.cross_entropy(logits[:, m], targets) for m in range(logits.shape[1]))
        return logits.detach(), torch.autograd.grad(loss, program.parameters())

    logits, grads = gradients(together, images)
    heads = grads[-2]
    for index, cell in enumerate(CELLS):
        members = slice(2 * index, 2 * index + 2)
        alone_logits, alone_grads = gradients(SharedProgram([cell], [0, 1], 10, SMALL), images[:, members])
        torch.testing.assert_close(logits[:, members], alone_logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(heads[members], alone_grads[-2], rtol=1e-3, atol=1e-4)
        stem = grads[0].unflatten(0, (8, -1))[members].flatten(0, 1)
        torch.testing.assert_close(stem, alone_grads[0], rtol=1e-3, atol=2e-3)


def test_padding_of_a_shared_program_stays_zero_through_training(task):
    program = SharedProgram([WIDE, CHAIN], [0], 10, SMALL)
    Trainer(task, QUICK, [0])._fit(program)
    unit = program.stages[0].vertices[0].branches[0][2]  # conv1x1 of WIDE, narrower than CHAIN's conv3x3 beside it
    used = unit.outputs[0]
    assert used < unit.width_out
    assert unit.weight[:used].abs().sum() > 0
    assert unit.weight[used:].abs().sum() == 0 and unit.scale[used:].abs().sum() == 0


def test_a_training_is_bit_equal_when_repeated_and_depends_on_seed_and_cell(task):
    trainer = Trainer(task, QUICK, range(2))
    first, again = trainer.train([WIDE])[0], Trainer(task, QUICK, range(2)).train([WIDE])[0]
    assert first.test_log_likelihood == again.test_log_likelihood
    assert first.val_accuracy == again.val_accuracy
    assert first.test_log_likelihood[0] != first.test_log_likelihood[1]
    assert first.test_log_likelihood != trainer.train([CHAIN])[0].test_log_likelihood
    assert first.finite and first.seconds > 0


def test_cells_trained_side_by_side_score_as_alone(task):
    trainer = Trainer(task, replace(QUICK, epochs=1), range(2))
    together = trainer.train(CELLS)
    for cell, scores in zip(CELLS, together, strict=True):
        alone = trainer.train([cell])[0]
        assert scores.test_log_likelihood == pytest.approx(alone.test_log_likelihood, abs=1e-3)
        assert scores.val_log_likelihood == pytest.approx(alone.val_log_likelihood, abs=1e-3)


def test_training_learns(task):
    scores = Trainer(task, replace(QUICK, epochs=25), range(2)).train([CHAIN])[0]
    assert np.mean(scores.test_accuracy) > 0.4  # chance is 0.1


def test_folded_and_plain_inference_agree():
    program = SharedProgram([WIDE], [0], 10, SMALL)
    images = torch.randn(16, 1, 8, 8)
    with torch.no_grad():
        for _ in range(3):
            program(images, training=True)
        plain = program(images)
        program.fold()
        torch.testing.assert_close(program(images), plain)


def test_scores_are_the_expectation_over_shifts(task):
    trainer = Trainer(task, QUICK, [0])
    program = SharedProgram([CHAIN], [0], 10, SMALL)
    accuracy, likelihood = trainer.score(program, task.test, chunk=7)
    with torch.no_grad():
        logits = torch.stack([program(trainer.images[s, task.test][:, None])[:, 0] for s in range(5)])
    labels = torch.from_numpy(task.labels[task.test])
    weights = torch.from_numpy(shift_weights(QUICK.jitter))
    right = (logits.argmax(-1) == labels).double().mean(1)
    likely = logits.log_softmax(-1).double()[:, torch.arange(40), labels].mean(1)
    assert accuracy[0] == pytest.approx(float(weights @ right))
    assert likelihood[0] == pytest.approx(float(weights @ likely), rel=1e-5)


def test_schedule_and_shift():
    rates = [rate(step, 50, 0.2) for step in range(50)]
    assert max(rates) == pytest.approx(1, abs=0.02) and rates[0] < 0.15 and 0 < rates[-1] < 0.01
    image = np.zeros((1, 3, 3), np.float32)
    image[0, 1, 1] = 1
    assert shifted(image, -1, 0)[0, 0, 1] == 1 and shifted(image, 0, 1)[0, 1, 2] == 1
    assert shifted(np.ones((1, 2, 2), np.float32), 1, 0).tolist() == [[[0, 0], [1, 1]]]


def test_builder_end_to_end_on_another_task(tmp_path):
    data = load_digits()
    task = DigitsTask.split("odd-or-even", data.images / 16, data.target % 2, train=60, validation=20, test=40)
    plan = BuildPlan(task, CELLS[:3], QUICK, seeds=3)
    run(plan, tmp_path, quiet=True)
    table = assemble(plan, tmp_path, "parity", "Odd or even", quiet=True)
    benchmark = read_benchmark(table)
    assert sorted(benchmark.arch) == sorted(cell.hash for cell in CELLS[:3])
    row = list(benchmark.arch).index(WIDE.hash)
    assert np.argwhere(benchmark.adj[row]).tolist() == sorted(map(list, WIDE.edges))
    assert benchmark.repeats("test_accuracy").shape == (3, 3)
    assert benchmark.target() == pytest.approx(benchmark.repeats("test_accuracy").mean(1))
    assert (benchmark.target("latency_ms") > 0).all()
    assert benchmark.card.as_dict()["cells"]["trained"] == 3 and not benchmark.card.as_dict()["partial"]
    assert set(benchmark.card.as_dict()["baselines"]["kendall_tau"]) >= {"parameters", "flops", "depth"}
    verdict = verify(benchmark, task, QUICK, 3, quiet=True)
    assert verdict.passed and verdict.equal == 3
    benchmark.scores.loc[row, "test_log_likelihood/1"] += 1e-3
    assert verify(benchmark, task, QUICK, 3, quiet=True).equal == 2
    assert not verify(
        benchmark, task, QUICK, 3, quiet=True
    ).passed  # the same machine and software: nothing excuses a difference
    benchmark.scores["made_on"] = "some GPU"
    assert verify(benchmark, task, QUICK, 3, quiet=True).passed
    with pytest.raises(DataError, match="another task or recipe"):
        verify(benchmark, task, replace(QUICK, epochs=3), 1, quiet=True)


def test_resume_trains_only_what_is_missing_and_gives_the_same(tmp_path, task, monkeypatch):
    plan = BuildPlan(task, CELLS, QUICK, seeds=2)
    run(plan, tmp_path / "whole", quiet=True)
    run(replace(plan, cells=CELLS[:2]), tmp_path / "parts", quiet=True)
    path = tmp_path / "parts" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-20])  # a kill in the middle of the last line
    trained = []
    real = builder.train_group
    monkeypatch.setattr(builder, "train_group", lambda trainer, cells: trained.extend(cells) or real(trainer, cells))
    run(plan, tmp_path / "parts", quiet=True)
    assert trained == CELLS[1:]
    whole, parts = (read_journal(tmp_path / name / "journal.jsonl")[1] for name in ("whole", "parts"))
    strip = lambda records: {k: {**r, "seconds": 0} for k, r in records.items()}  # noqa: E731
    assert strip(whole) == strip(parts)
    with pytest.raises(DataError, match="another build"):
        run(replace(plan, seeds=3), tmp_path / "parts", quiet=True)
    run(replace(plan, seeds=1, cells=CELLS[:1]), tmp_path / "parts", resume=False, quiet=True)
    assert len(read_journal(path)[1]) == 1


def test_broken_journals_are_refused_by_name(tmp_path, task):
    path = tmp_path / "journal.jsonl"
    path.write_text("hello\nworld\n")
    with pytest.raises(DataError, match=r"journal\.jsonl: line 1 is broken"):
        run(BuildPlan(task, CELLS, QUICK, seeds=1), tmp_path, quiet=True)
    path.write_text(json.dumps({"something": "else"}) + "\n")
    with pytest.raises(DataError, match="not the journal of a build"):
        run(BuildPlan(task, CELLS, QUICK, seeds=1), tmp_path, quiet=True)


@pytest.mark.parametrize(
    "change, word",
    [
        ({"labels": np.zeros(10, np.int64)}, "one label each"),
        ({"train": np.array([0, 1]), "test": np.array([1, 2])}, "in two of the parts"),
        ({"train": np.array([0])}, "every class"),
        ({"images": np.full((1797, 8, 8), np.nan, np.float32)}, "not finite"),
        ({"images": np.zeros((1797, 8, 6), np.float32)}, "squares"),
    ],
)
def test_an_impossible_task_is_refused(task, change, word):
    with pytest.raises(DataError, match=word):
        replace(task, **change)
    with pytest.raises(DataError, match="cannot split"):
        digits(train=1700, validation=300)


def test_a_worker_process_gives_what_this_process_gives(task):
    plan = BuildPlan(task, CELLS[1:3], QUICK, seeds=1)
    here = [record for records in builder._inline(plan, [[cell] for cell in plan.cells]) for record in records]
    there = [record for records in builder._parallel(plan, [[cell] for cell in plan.cells], None) for record in records]
    scores = lambda records: {r["arch"]: r["test_log_likelihood"] for r in records}  # noqa: E731
    assert scores(here) == scores(there)


def test_reliability_and_ceiling_of_known_noise():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((400, 1))
    clean, noisy = truth + np.zeros((1, 4)), truth + rng.standard_normal((400, 4))
    assert reliability(clean) == noise_ceiling(clean) == pytest.approx(1)
    # halves of two: correlation 2 / 3, tau = 2 / pi asin(2 / 3) = 0.46; one against three: 0.61 -> 0.42
    assert reliability(noisy) == pytest.approx(0.46, abs=0.05)
    assert noise_ceiling(noisy) == pytest.approx(0.42, abs=0.05)


def shipped():
    path = Path(builder.__file__).parents[1] / "tables" / "digits101.parquet"
    if not path.exists():
        pytest.skip("the shipped table is not in this checkout")
    return read_benchmark(path)


def test_the_shipped_table_keeps_its_promises():
    benchmark = shipped()
    card = benchmark.card.as_dict()
    cells = [
        NB101Cell.from_matrix(adj[np.ix_(mask, mask)], ops[mask].tolist())
        for adj, mask, ops in zip(benchmark.adj[:50], benchmark.mask[:50], benchmark.ops[:50], strict=True)
    ]
    assert [cell.hash for cell in cells] == benchmark.arch[:50].tolist()
    assert not benchmark.scores.isna().any(axis=None)
    assert card["cells"]["failed"] == [] and card["cells"]["trained"] == len(benchmark)
    assert reliability(benchmark.repeats("test_accuracy")) == pytest.approx(
        card["reliability"]["test_accuracy"], abs=1e-4
    )
    assert card["reliability"]["test_accuracy"] >= 0.85
    assert card["distinct"]["test_accuracy"] >= 0.95
    assert card["baselines"]["kendall_tau"]["parameters"] < card["noise_ceiling"]["test_accuracy"] - 0.1
    table = Path(builder.__file__).parents[1] / "tables" / "digits101.parquet"
    assert table.stat().st_size < 2e6


def test_shipped_scores_come_from_this_code():
    benchmark = shipped()
    verdict = verify(benchmark, digits(), DigitsRecipe(), 1, seed=1, quiet=True)
    assert verdict.equal == 1 or (verdict.changed and verdict.largest < 0.2), str(verdict)


def test_command_line_refuses_in_one_line_and_imports_no_torch():
    script = (
        "import sys; from archrank.cli.build import build\n"
        "from archrank.datasets.errors import ArchrankError\n"
        "assert 'torch' not in sys.modules\n"
        "for wrong in ({'name': 'digits100'}, {'cells': 0}, {'device': 'tpu'}, {'verify': True, 'seeds': 3}):\n"
        "    options = dict(name='digits101', cells=None, seeds=None, device='cpu', workers=None, resume=True,\n"
        "                   verify=False, output='')\n"
        "    try: build(**(options | wrong))\n"
        "    except ArchrankError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    lines = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    assert len(lines) == 4 and "digits101" in lines[0] and "--cells" in lines[1] and "tpu" in lines[2]
