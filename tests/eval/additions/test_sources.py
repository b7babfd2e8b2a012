"""Labels of other tables: what a network or a portfolio takes from them, and that no label of its own reaches it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from archrank.datasets import make_split
from archrank.datasets.errors import ArchrankError
from archrank.datasets.union import union
from archrank.eval.auto_predictor import AutoPredictor
from archrank.eval.engine.batching import Member
from archrank.eval.engine.recipes import COMMON
from archrank.eval.metrics import spearman
from archrank.eval.predictor import Predictor
from archrank.eval.runners.run import run
from archrank.eval.trials.additions import check_additions
from archrank.eval.trials.job import make_job
from archrank.eval.trials.pretrained import read_weights
from archrank.eval.trials.pretraining import prepare_additions
from archrank.eval.trials.source_features import source_features
from archrank.eval.trials.source_training import FromSource
from archrank.eval.trials.sources import parse_source, same_architectures
from archrank.eval.trials.specs import parse, parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan
from tests.eval.additions.tables import given, with_columns


def test_the_same_architectures_are_found_however_they_are_named(cells, tables):
    renamed = replace(cells, arch=np.array([f"a{i}" for i in range(len(cells))], object), key=cells.arch[::-1].copy())
    assert same_architectures(renamed, cells) == len(cells)
    assert same_architectures(tables["other"], replace(cells, key=cells.arch + "x")) < 5


def test_a_source_of_another_vocabulary_gives_weights_that_read_the_target_alike(cells, tables, tmp_path):
    joint, [place] = union(cells.space, [tables["far"].space])
    assert joint.ops == (*cells.space.ops, "zeroize") and place.tolist() == [0, 3, 2, 5, 4]
    additions = given("gin[dim=8,source=far(updates=5,labels=40)]", cells, tmp_path)
    assert additions.weights[0]["embed.weight"].shape == (8, 5) and additions.seconds[0] > 0
    assert parse_source("a+b(labels=3,same=true)").tables == ("a", "b")


def test_one_list_of_sources_serves_every_table_in_it(cells, tables):
    source = parse_source("cells+far(others=true)")
    assert [table.name for table in source.tables_for(cells)] == ["far"]
    assert [table.name for table in source.tables_for(tables["far"])] == ["cells"]
    with pytest.raises(ArchrankError, match="none is left"):
        parse_source("cells(others=true)").tables_for(cells)


def test_what_is_applied_as_it_is_sees_no_label_and_is_what_a_split_is_scored_by(cells, tables, tmp_path):
    encoder = "gin[dim=8,source=far(updates=5,labels=40,zero_shot=true)]"
    planted = with_columns(cells, quality=np.random.default_rng(1).permutation(cells.target("quality")))
    first, second = given(encoder, cells, tmp_path), given(encoder, planted, tmp_path / "b")
    assert np.array_equal(first.scores, second.scores) and first.weights is None
    started = given(encoder.replace(",zero_shot=true", ""), cells, tmp_path)
    with_head = given(encoder.replace("zero_shot", "head"), cells, tmp_path)
    assert (
        len(list((tmp_path / "pretraining").iterdir())) == 1 and with_head.seconds == started.seconds == first.seconds
    )
    assert started.head is None and with_head.head["0.weight"].shape == (1, 24)
    job = make_job(parse(encoder)[0], COMMON.model_copy(update={"updates": 1, "lr": 1e-9}), cells.space, cells.graphs)
    member = Member(0, np.arange(12), cells.target("quality")[:12], np.arange(12))
    weights = job.with_given(with_head).with_members([member]).fit().ensemble.parameters
    assert torch.allclose(weights["head.0.weight"][0], with_head.head["0.weight"], atol=1e-6)
    assert torch.allclose(weights["encoder.embed.weight"][0], started.weights[0]["embed.weight"], atol=1e-6)
    plan = make_plan(parse_list(encoder), benchmarks=[cells], budgets=[12], seeds=1)
    run(plan, tmp_path, workers=0)
    record = Store(tmp_path).read(plan.trials[0].trial.key)
    rows, predictions = Store(tmp_path).predictions(record, len(cells))
    assert np.allclose(predictions, first.scores[rows]) and "no label of cells" in record.notes[-1]


def test_a_portfolio_is_told_what_trees_of_another_table_predict_and_no_label(cells, tables, tmp_path):
    far = tables["far"]
    counts = (far.ops == far.space.ops.index("nor_conv_3x3")).sum(1).astype(float)
    tables["far"] = with_columns(far, "far", convs=counts, quality=-counts)
    source = parse_source("far(target=convs+quality)")
    columns, took = source_features(source, cells, "quality", tmp_path)
    here = (cells.ops == cells.space.ops.index("conv3x3")).sum(1)
    assert columns.shape == (120, 2) and took > 0
    assert spearman(columns[:, 0], here) > 0.9 and spearman(columns[:, 1], here) < -0.9
    planted = with_columns(cells, quality=np.random.default_rng(1).permutation(cells.target("quality")))
    assert np.array_equal(source_features(source, planted, "quality", tmp_path / "b")[0], columns)
    again, kept = source_features(source, cells, "quality", tmp_path)  # from the store
    assert np.array_equal(again, columns) and kept == took
    names = "auto[preset=fast,folds=2],auto[preset=fast,folds=2,source=far(target=convs)]"
    target = with_columns(cells, quality=here + np.random.default_rng(2).normal(0, 0.3, 120))
    plan = make_plan(parse_list(names), benchmarks=[target], budgets=[20], seeds=1)
    run(plan, tmp_path, workers=0)
    plain, told = (Store(tmp_path).read(item.trial.key) for item in plan.trials)
    assert told.metrics["kendall"] > plain.metrics["kendall"] and plain.timings.pretrain_s == 0
    assert told.timings.pretrain_s > 0 and "1000 labels of each of far/convs predict" in told.notes[-1]
    with pytest.raises(ArchrankError, match="may as well be"):
        spec = parse("auto[source=cells]")[0]
        check_additions(spec.additions, spec.info, spec.config, cells, "quality")
    for made in (Predictor("auto[source=far]", cells.space), AutoPredictor(cells.space, "auto[source=far]")):
        with pytest.raises(ArchrankError, match="need the table"):
            made.fit(cells.graphs[:30].plain(), cells.target("quality")[:30])


def test_devices_have_operations_of_their_own_and_a_new_one_starts_from_the_closest(cells, tables, tmp_path):
    quality = cells.target("quality")
    wide = with_columns(cells, on_a=quality, on_b=-quality, on_c=quality**3)
    tables["cells"] = wide
    named = "source=cells(target=on_*,same=true,labels=80,updates=150)"
    spec = parse(f"gin[dim=8,{named}]")[0]
    check_additions(spec.additions, spec.info, spec.config, wide, "on_c")
    assert spec.additions.source.targets_of(wide, wide, "on_c") == ["on_a", "on_b"]
    assert "on_a, cells/on_b" in spec.additions.notes(wide, "on_c")[0]
    job = make_job(spec, COMMON, wide.space, wide.graphs)
    splits = [make_split(wide, "clean", 0, "on_c") for _ in range(2)]
    rows = splits[0].train(20)
    members = [Member(0, rows, sign * quality[rows], splits[0].test) for sign in (1.0, -1.0)]
    additions = prepare_additions(job.with_members(members), wide, "on_c", splits, tmp_path, "cpu")
    [path] = (tmp_path / "pretraining").iterdir()
    stored = FromSource.of({name: torch.from_numpy(part) for name, part in read_weights(path)[0].items()})
    assert stored.scores.shape == (2, len(wide)) and [stored.closest(m.train, m.labels) for m in members] == [0, 1]
    for number in range(2):
        assert torch.equal(additions.weights[number]["embed.weight"], stored.weights[number]["embed.weight"])
    assert not torch.equal(stored.weights[0]["embed.weight"], stored.weights[1]["embed.weight"])
    assert torch.equal(stored.weights[0]["layers.1.wide.weight"], stored.weights[1]["layers.1.wide.weight"])
