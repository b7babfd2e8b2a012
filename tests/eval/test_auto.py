"""Portfolios: folds, weights, calibration, the estimator, its file, the command line, runs and search."""

import numpy as np
import pytest
import torch

import archrank
from archrank.cli import main
from archrank.datasets import ArchrankError, load
from archrank.encoders.features.bag_of_ops import bag_of_ops
from archrank.encoders.features.base import base
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.registry import Part, Portfolio, encoding, portfolio
from archrank.eval.auto.combine import Scale, greedy_weights, stacking_weights
from archrank.eval.auto.folds import assign_folds, same_computation
from archrank.eval.auto.parts import Networks
from archrank.eval.auto.pool import Pool
from archrank.eval.auto.portfolio import fit_portfolio
from archrank.eval.auto.uncertainty import Calibration
from archrank.eval.engine.recipes import common_recipe
from archrank.eval.metrics import kendall
from archrank.eval.statistics.kendall import kendall_interval
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse


@portfolio("tiny")
def tiny(space, *, combine: str = "stacking"):
    """Trees on counts, and a small network on the canonical graph."""
    trees = Part(bag_of_ops, head="extra_trees", head_options={"trees": 20})
    network = Part(GIN, {"dim": 8, "layers": 1, "view": "canonical"}, share=0.02)
    broken = Part(GIN, {"dim": -1})
    return Portfolio((trees, network, broken), combine=combine, folds=3)


@pytest.fixture(scope="module")
def table():
    benchmark = load("digits101")
    rows = np.random.default_rng(0).permutation(len(benchmark))[:140]
    return benchmark.space, benchmark.graphs.plain()[rows.tolist()], benchmark.target()[rows]


@pytest.fixture(scope="module")
def fitted(table):
    space, graphs, scores = table
    return archrank.AutoPredictor(space, tiny, seed=3).fit(graphs[:80], scores[:80])


def test_folds_hold_copies_out_together_and_have_the_whole_range():
    rng = np.random.default_rng(0)
    classes = np.r_[np.arange(40), np.arange(20)]
    labels = rng.standard_normal(60)
    folds = assign_folds(labels, classes, 5, seed=1)
    assert all(len(set(folds[classes == one])) == 1 for one in classes)
    assert np.array_equal(folds, assign_folds(labels, classes, 5, seed=1))
    assert not np.array_equal(folds, assign_folds(labels, classes, 5, seed=2))
    alone = assign_folds(np.arange(20.0), np.arange(20), 5, seed=0)
    assert all(sorted(alone[start : start + 5]) == [0, 1, 2, 3, 4] for start in range(0, 20, 5))


def test_one_computation_is_one_class(table):
    space, graphs, _ = table
    classes = same_computation(graphs[[0, 1, 0]], space)
    assert classes[0] == classes[2] != classes[1]


def test_weights_prefer_what_predicts_and_use_what_adds():
    rng = np.random.default_rng(0)
    labels = rng.standard_normal(400)
    noise = rng.standard_normal((3, 400))
    good, other, useless = labels + 0.5 * noise[0], labels + 0.5 * noise[1], noise[2]
    for choose in (greedy_weights, stacking_weights):
        weights = choose(np.array([good, other, useless]), labels)
        assert weights.sum() == pytest.approx(1) and weights[2] < 0.06 and abs(weights[0] - weights[1]) < 0.15
    assert greedy_weights(np.array([labels, useless, -labels]), labels).argmax() == 0
    assert stacking_weights(np.array([useless, good]), labels, ridge=1e9) == pytest.approx([0.5, 0.5])


def test_models_of_any_unit_come_to_one_scale():
    outputs = np.random.default_rng(0).standard_normal((2, 50))
    outputs = np.vstack([outputs, np.full(50, 7.0)])
    trained = [np.arange(40), np.arange(50), np.arange(50)]
    scale, moved = Scale.of(outputs, trained), np.array([[100.0], [0.01], [1.0]]) * outputs + 5
    assert np.allclose(scale(outputs), Scale.of(moved, trained)(moved)) and not scale(outputs)[2].any()
    assert scale(outputs)[0, :40].std() == pytest.approx(1) != scale(outputs)[0].std()


def test_intervals_hold_what_they_say_and_widen_with_disagreement():
    rng = np.random.default_rng(0)
    apart = rng.uniform(0, 1, 4000)
    labels = rng.standard_normal(4000)
    held_out = 2 * labels + (0.2 + apart) * rng.standard_normal(4000)
    calibration = Calibration.of(held_out[:500], apart[:500], labels[:500], np.arange(500) % 5)
    error = np.abs(labels[500:] - calibration.mean(held_out[500:]))
    for level in (0.5, 0.9):
        assert (error <= calibration.half_width(apart[500:], level)).mean() == pytest.approx(level, abs=0.05)
    assert calibration.half_width(np.array([0.0, 1.0])).tolist() == sorted(
        calibration.half_width(np.array([0.0, 1.0])).tolist()
    )
    assert calibration.trust > 0


def test_few_labels_that_speak_against_a_predictor_do_not_turn_its_order_round():
    guess = np.random.default_rng(0).standard_normal(20)
    calibration = Calibration.of(guess, np.ones(20), -3 * guess + 1, np.arange(20) % 5)
    mean = calibration.mean(np.array([-2.0, 0.0, 2.0]))
    assert (np.diff(mean) > 0).all() and np.ptp(mean) < 0.5
    assert (np.abs(mean - 1) + calibration.half_width(np.ones(3)) > 3).all()  # nothing is known of the labels
    assert calibration.expected(np.ones(1))[0] == pytest.approx(np.std(3 * guess), rel=0.1)


def test_errors_of_few_labels_are_by_the_line_of_other_folds():
    """With five coins for labels nothing is known of the next one: the errors of labels that a line and a noise were
    fitted to would say otherwise."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        labels, guess, apart = rng.standard_normal((3, 12))
        calibration = Calibration.of(guess[:10], apart[:10], labels[:10], np.arange(10) % 5)
        held.append(np.abs(labels[10:] - calibration.mean(guess[10:])) <= calibration.half_width(apart[10:], 0.9))
    assert 0.86 < np.mean(held) < 0.97


@portfolio("trees")
def trees(space):
    """Trees that learn their labels by heart, and lines, on counts."""
    return Portfolio((Part(bag_of_ops, head="extra_trees", head_options={"trees": 20}), Part(bag_of_ops, head="ridge")))


def test_nine_tenths_of_scores_lie_in_their_intervals():
    benchmark, held = load("digits101"), []
    for seed in range(6):
        rows = np.random.default_rng(seed).permutation(len(benchmark))[:480]
        graphs, scores = benchmark.graphs.plain()[rows.tolist()], benchmark.target()[rows]
        predictor = archrank.AutoPredictor(benchmark.space, trees, seed=seed).fit(graphs[:80], scores[:80])
        low, _, high = predictor.interval(graphs[80:])
        held.append(((low <= scores[80:]) & (scores[80:] <= high)).mean())
    print(np.round(held, 3), np.mean(held))
    assert 0.87 < np.mean(held) < 0.93 and min(held) > 0.8, held


def test_the_interval_of_tau_narrows_and_holds_tau():
    rng = np.random.default_rng(0)
    true = rng.standard_normal(600)
    guess = true + rng.standard_normal(600)
    whole = kendall(true, guess)
    held = [kendall_interval(true[i : i + 60], guess[i : i + 60]) for i in range(0, 600, 60)]
    assert sum(low <= whole <= high for low, high in held) >= 8
    low, high = kendall_interval(true, guess)
    assert low < whole < high and high - low < np.mean([b - a for a, b in held]) / 2


def test_the_estimator_predicts_scores_with_intervals(table, fitted):
    _, graphs, scores = table
    new, truth = graphs[80:], scores[80:]
    mean, deviation = fitted.predict(new, return_std=True)
    assert fitted.score(new, truth) == pytest.approx(kendall(truth, mean)) and fitted.score(new, truth) > 0.2
    assert scores.min() - 5 < mean.min() and mean.max() < scores.max() + 5 and (deviation > 0).all()
    low, middle, high = fitted.interval(new)
    assert (low <= middle).all() and (middle <= high).all()
    assert np.allclose(fitted.predict(new[:1]), mean[:1])  # whatever else is asked about


def test_it_explains_itself(fitted):
    said = fitted.explain()
    assert {part["name"] for part in said["parts"]} == {
        "bag_of_ops+extra_trees[trees=20]",
        "gin[dim=8,layers=1,view=canonical]",
    }
    assert sum(part["weight"] for part in said["parts"]) == pytest.approx(1)
    assert "gin[dim=-1]" in said["refused"] and said["labels"] == 80
    assert said["interval"][0] < said["tau"] < said["interval"][1]


@portfolio("taught")
def taught(space):
    """A network that is told what can be counted before it sees labels."""
    told = {"dim": 16, "layers": 2, "view": "canonical", "pretext": "counts(updates=60,batch=32)"}
    return Portfolio((Part(GIN, told, share=0.02), Part(GIN, told | {"pretext": "masked_ops"}, share=0.02)), folds=3)


def test_networks_of_a_portfolio_are_pretrained_on_graphs_without_labels(table, tmp_path):
    space, graphs, scores = table
    rows, seen, starts = np.arange(60), [], []

    def keep(identity, train):
        seen.append(identity)
        starts.append(train())
        return starts[-1], 2.0

    pool = Pool(space, graphs, graphs, keep=keep)
    recipe = common_recipe(find_recipe("common"))
    told = taught(space)
    for labels in (scores[:60], -scores[:60]):
        fitted = fit_portfolio(told, pool, rows, labels, recipe)
    assert len(seen) == 1 and fitted.pretrain_s == 2.0 < fitted.seconds  # once, whatever the labels
    assert "asks for states" in fitted.refused[told.parts[1].label]
    models = fitted.parts[0].models
    assert isinstance(models, Networks)
    weights, steps = models.trained.ensemble.parameters, round(recipe.updates * 0.02)
    moved = [
        float((weights[f"encoder.{name}"].detach() - start).abs().max())
        for name, start in starts[0].items()
        if f"encoder.{name}" in weights
    ]
    assert 0 < max(moved) < 4 * recipe.lr * steps  # where they started from
    fit_portfolio(told, pool.seeing(rows), rows, scores[:60], recipe)
    assert fit_portfolio(told, pool.seeing(rows), rows, scores[:60], recipe).pretrain_s == 2.0  # not that of others
    alone = Pool(space, graphs[:60], graphs[:60], keep=keep)
    fit_portfolio(told, alone, rows, scores[:60], recipe)
    assert seen[1] != seen[0] == seen[2]
    assert all(torch.equal(tensor, starts[2][name]) for name, tensor in starts[1].items())
    assert not all(torch.equal(tensor, starts[0][name]) for name, tensor in starts[1].items())
    predictor = archrank.AutoPredictor(space, taught).fit(graphs[:60], scores[:60], graphs[60:])
    predictor.save(tmp_path / "p")
    loaded = archrank.AutoPredictor.load(tmp_path / "p", portfolio=taught)
    assert np.allclose(loaded.predict(graphs), predictor.predict(graphs), atol=1e-5)
    other = archrank.AutoPredictor(space, taught).fit(graphs[:60], scores[:60])
    assert not np.allclose(other.predict(graphs), predictor.predict(graphs))


def test_it_is_deterministic_and_for_lower_is_better_the_mirror(table, fitted):
    space, graphs, scores = table
    again = archrank.AutoPredictor(space, tiny, seed=3).fit(graphs[:80], scores[:80])
    assert np.array_equal(again.predict(graphs), fitted.predict(graphs))
    mirrored = archrank.AutoPredictor(space, tiny, direction="min", seed=3).fit(graphs[:80], -scores[:80])
    assert np.allclose(mirrored.predict(graphs), -fitted.predict(graphs))


def test_a_saved_predictor_predicts_the_same(table, fitted, tmp_path):
    _, graphs, _ = table
    fitted.save(tmp_path / "p")
    loaded = archrank.AutoPredictor.load(tmp_path / "p", portfolio=tiny)
    assert np.allclose(loaded.predict(graphs), fitted.predict(graphs), atol=1e-5)
    assert loaded.explain() == fitted.explain()
    with pytest.raises(ArchrankError, match="not built in"):
        archrank.AutoPredictor.load(tmp_path / "p")
    data = bytearray((tmp_path / "p").read_bytes())
    data[-9] ^= 0x7F
    (tmp_path / "q").write_bytes(bytes(data))
    with pytest.raises(ArchrankError):
        archrank.AutoPredictor.load(tmp_path / "q", portfolio=tiny)
        raise ArchrankError("the byte that was changed is of no weight")  # padding, say


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"portfolio": "gin"}, "takes portfolios"),
        ({"space": None}, "needs the search space"),
        ({"direction": "up"}, "max or min"),
    ],
)
def test_wrong_use_is_one_line(table, change, says):
    space, graphs, scores = table
    with pytest.raises(ArchrankError, match=says):
        archrank.AutoPredictor(**({"space": space, "portfolio": tiny} | change)).fit(graphs[:30], scores[:30])
    with pytest.raises(ArchrankError, match="too few"):
        archrank.AutoPredictor(space, tiny).fit(graphs[:4], scores[:4])


@encoding("company")
def company(graphs, space):
    """Counts divided by how many architectures are encoded together."""
    return bag_of_ops(graphs, space) / len(graphs)


@encoding("holes")
def holes(graphs, space):
    """No numbers."""
    return bag_of_ops(graphs, space) * float("nan")


@portfolio("odd")
def odd(space):
    """Encodings that cannot be used."""
    return Portfolio((Part(company, head="ridge"), Part(holes, head="ridge")), folds=3)


def test_encodings_that_are_no_numbers_or_depend_on_company_are_refused(table):
    space, graphs, scores = table
    predictor = archrank.AutoPredictor(space, odd).fit(graphs[:30], scores[:30])
    assert "not finite" in predictor.explain()["refused"]["holes+ridge"]
    with pytest.raises(ArchrankError, match="company gives an architecture other features"):
        predictor.predict(graphs[30:])


def test_the_spec():
    spec = parse("auto[limit=8,preset=best]")[0]
    assert spec.info.portfolio and spec.label == "auto[limit=8.0,preset=best]"
    made = spec.info.load()(None, **spec.config)
    assert [part.label for part in made.parts] == ["base+gp"] and len(made.refused) == 8
    with pytest.raises(ArchrankError, match="leave \\+gp out"):
        parse("auto+gp")


CSV = "arch,ops,edges,accuracy\n"


def written(path, count, seed, scores=True):
    """Chains and diamonds of three operations; what scores is the number of convolutions, and a little noise."""
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        ops = rng.choice(["conv3x3", "conv1x1", "skip"], 3)
        edges = rng.choice(["0>1 1>2 2>3 3>4", "0>1 0>2 0>3 1>4 2>4 3>4", "0>1 1>2 0>3 2>4 3>4"])
        score = 80 + 3 * (ops == "conv3x3").sum() + (ops == "conv1x1").sum() + rng.normal(0, 0.3)
        lines.append(f"a{number},input {' '.join(ops)} output,{edges}" + (f",{score:.3f}" if scores else ""))
    path.write_text("\n".join([CSV.strip() if scores else "arch,ops,edges", *lines]) + "\n")


def call(words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert not stopped.value.code


def test_fit_and_predict_on_the_command_line(tmp_path, capsys):
    written(tmp_path / "mine.csv", 60, 0)
    written(tmp_path / "new.csv", 5, 1, scores=False)
    call(["fit", str(tmp_path / "mine.csv"), "-o", str(tmp_path / "p"), "--portfolio", "auto[preset=fast,folds=3]"])
    said = capsys.readouterr().out
    assert "60 architectures, accuracy (higher is better)" in said and "base+gp" in said
    assert "cross-validated Kendall's tau 0." in said and "95 % interval [0." in said
    call(["predict", str(tmp_path / "p"), str(tmp_path / "new.csv")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "arch,prediction,low,high" and len(lines) == 6
    values = np.array([line.split(",")[1:] for line in lines[1:]], float)
    assert (values[:, 1] < values[:, 0]).all() and (values[:, 0] < values[:, 2]).all()
    (tmp_path / "new.csv").write_text("arch,ops,edges\nb,input pool output,0>1 1>2\n")
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path / "p"), str(tmp_path / "new.csv")])
    assert "line 2" in capsys.readouterr().err


def test_a_run_trains_it(tmp_path, capsys):
    store = str(tmp_path / "store")
    spec = "auto[folds=2,preset=fast]"
    call(["plan", "-e", spec, "-b", "digits101", "--budgets", "20", "--store", store])
    call(["run", "-e", spec, "-b", "digits101", "--budgets", "20", "--seeds", "2", "--workers", "0", "--store", store])
    assert "2 trained, 0 failed" in capsys.readouterr().out
    from archrank.eval.trials.results import read_stores

    records = list(read_stores([tmp_path / "store"]).records)
    assert all("portfolio: " in record.notes[0] and record.metrics["kendall"] > 0.3 for record in records)
    assert all(0.6 < record.metrics["coverage@90%"] < 1 for record in records)
    assert base.__name__ in records[0].notes[0]


def test_a_tuned_recipe_takes_what_ranks_held_out_labels_best(table):
    from dataclasses import replace

    from archrank.eval.engine.batching import Member
    from archrank.eval.engine.recipes import TUNED, training_hash, variant
    from archrank.eval.trials.job import make_job
    from archrank.eval.trials.tuning import train_tuned

    space, graphs, scores = table
    slow = replace(TUNED, base=variant("slow", lr=1e-6, updates=30), candidates=({"lr": 0.02}, {"dropout": 0.1}))
    assert training_hash(slow, None) != training_hash(TUNED, None) != training_hash(TUNED.base, None)
    job = make_job(parse("gin[dim=8,layers=1]")[0], slow, space, graphs)
    rows = np.arange(60)
    members = [Member(seed, rows, job.labels(scores[rows]), np.arange(60, 140)) for seed in (0, 1)]
    outcomes = train_tuned(job.with_members(members))
    assert all(outcome.notes[-1].startswith("tuned: lr=0.02 (tau ") for outcome in outcomes)
    again = job.with_recipe(lr=0.02).with_members(members).train()
    assert all(np.allclose(a.predictions, b.predictions) for a, b in zip(outcomes, again))


def test_the_docs_example_runs(tmp_path, monkeypatch):
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "own_predictor.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert (tmp_path / "predictor").stat().st_size > 10_000
