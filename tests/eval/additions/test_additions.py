"""Pretexts, side inputs and source tables: what they give an encoder, and that no label reaches it through them."""

import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from archrank.datasets import make_split
from archrank.datasets.errors import ArchrankError
from archrank.encoders.pretexts import PRETEXTS
from archrank.eval.check.checked import CheckedEncoder
from archrank.eval.check.training import pretext as check_pretext
from archrank.eval.engine.recipes import COMMON
from archrank.eval.predictor import Predictor
from archrank.eval.runners.run import run
from archrank.eval.search.plan import plan_searches
from archrank.eval.search.run import run_searches
from archrank.eval.search.study import Search
from archrank.eval.synthetic import synthetic
from archrank.eval.trials.additions import check_additions
from archrank.eval.trials.specs import parse, parse_list
from archrank.eval.trials.store import Store
from archrank.eval.trials.trial import make_plan
from archrank.reports.sections.tricks import tricks_section
from archrank.reports.study import read_study
from tests.commands import ended
from tests.eval.additions.tables import given, with_columns

FEW = "updates=3,batch=16"


def test_a_run_shares_one_pretraining_and_says_what_it_saw(cells, tmp_path):
    names = f"gin[dim=8],gin[dim=8,pretext=flow_surrogate({FEW})],gin[dim=8,side=base+parameters+early]"
    plan = make_plan(
        parse_list(names),
        benchmarks=[cells],
        budgets=[12, 20],
        seeds=2,
        recipe=COMMON.model_copy(update={"updates": 8}),
    )
    run(plan, tmp_path, workers=0)
    records = {}
    for item in plan.trials:
        record = Store(tmp_path).read(item.trial.key)
        assert record.status == "done", record.error
        records.setdefault(item.spec.label, []).append(record)
    plain, pretext, side = records.values()
    assert [one.timings.pretrain_s for one in plain] == [0.0] * 4 and not plain[0].notes
    assert len({one.timings.pretrain_s for one in pretext}) == 1 and pretext[0].timings.pretrain_s > 0
    assert any("transductive" in note and "no label" in note for note in pretext[0].notes)
    assert any("early costs a measurement" in note for note in side[0].notes)
    assert not any("parameters costs" in note for note in side[0].notes)
    assert side[0].model.dim > plain[0].model.dim == pretext[0].model.dim
    assert len(list((tmp_path / "pretraining").iterdir())) == 1
    assert len({item.trial.key for item in plan.trials}) == 12
    assert pretext[0].metrics["kendall"] != plain[0].metrics["kendall"]


@pytest.mark.parametrize(
    "addition",
    [f"pretext={name}({FEW})" for name in ("flow_surrogate", "counts", "masked_ops", "contrastive", "context")]
    + [f"pretext={name}({FEW})" for name in ("zero_cost", "autoencode", "computation_pairs")]
    + ["side=base+parameters+flops"],
)
def test_labels_change_nothing_of_what_an_encoder_is_given(addition, cells, tmp_path):
    planted = with_columns(cells, quality=np.random.default_rng(1).permutation(cells.target("quality")))
    first = given(f"gin[dim=8,{addition}]", cells, tmp_path / "a")
    second = given(f"gin[dim=8,{addition}]", planted, tmp_path / "b")
    if first.weights is not None:
        assert all(torch.equal(part, second.weights[0][name]) for name, part in first.weights[0].items())
    assert (first.side is None and second.side is None) or np.array_equal(first.side, second.side)


def test_a_cost_that_is_the_target_is_hidden_in_whatever_order_trials_run(cells, tmp_path):
    doubled = with_columns(cells, parameters=np.random.default_rng(1).permutation(cells.target("parameters")))
    encoder = f"gin[dim=8,pretext=counts({FEW}),side=base]"
    given(encoder, cells, tmp_path)  # with the target `quality`, costs may be read, and are kept in the store
    first = given(encoder, cells, tmp_path, "parameters")
    second = given(encoder, doubled, tmp_path, "parameters")
    assert all(torch.equal(part, second.weights[0][name]) for name, part in first.weights[0].items())
    assert np.array_equal(first.side, second.side)


def test_unlabelled_train_sees_no_test_graph(cells, tmp_path):
    split = make_split(cells, "clean", 0)
    ops = cells.ops.copy()
    ops[split.test, 1:3] = 1 + ops[split.test, 1:3] % 3
    changed = replace(cells, ops=np.where(cells.mask, ops, 0), card=cells.card.model_copy(update={"content": ""}))
    for unlabelled, same in (("train", True), ("all", False)):
        encoder = f"gin[dim=8,pretext=flow_surrogate({FEW}),unlabelled={unlabelled}]"
        one, other = given(encoder, cells, tmp_path / "a"), given(encoder, changed, tmp_path / "b")
        equal = all(torch.equal(part, other.weights[0][name]) for name, part in one.weights[0].items())
        assert equal == same
    two = given(encoder.replace("=all", "=train"), cells, tmp_path / "a", seeds=(0, 1))
    assert not torch.equal(two.weights[0]["embed.weight"], two.weights[1]["embed.weight"])


PORTFOLIO = f"""
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.registry import Part, Portfolio, portfolio


@portfolio("taught")
def taught(space):
    \'\'\'A network that is pre-trained on what can be counted.\'\'\'
    told = {{"dim": 8, "layers": 1, "pretext": "counts({FEW})"}}
    return Portfolio((Part(GIN, told, share=0.01),), folds=2)
"""


def test_networks_of_a_portfolio_see_the_graphs_that_a_run_lets_them(cells, tmp_path):
    (tmp_path / "mine.py").write_text(PORTFOLIO)
    records = {}
    for unlabelled, starts in (("all", 1), ("train", 2)):  # of all seeds, of each split
        store, name = tmp_path / unlabelled, f"{tmp_path / 'mine.py'}:taught[unlabelled={unlabelled}]"
        plan = make_plan(parse_list(name), benchmarks=[cells], budgets=[12, 20], seeds=2)
        run(plan, store, workers=0)
        records[unlabelled] = [Store(store).read(item.trial.key) for item in plan.trials]
        assert len(list((store / "pretraining").iterdir())) == starts
        assert all(one.status == "done" and one.timings.pretrain_s > 0 for one in records[unlabelled])
    assert "pre-trained on counts" in records["all"][0].notes[1] and "transductive" in records["all"][0].notes[1]
    assert "none of the test set" in records["train"][0].notes[1]
    assert records["all"][0].metrics["kendall"] != records["train"][0].metrics["kendall"]


def test_weights_from_the_store_are_those_that_were_trained(cells, tmp_path):
    encoder = f"gmae_nas[dim=8,layers=2,pretext=masked_ops({FEW})]"
    first, again = given(encoder, cells, tmp_path), given(encoder, cells, tmp_path)
    assert len(list((tmp_path / "pretraining").iterdir())) == 1 and first.seconds == again.seconds
    for name, weight in first.weights[0].items():
        assert weight.shape == again.weights[0][name].shape and torch.equal(weight, again.weights[0][name])


@pytest.mark.parametrize(
    "encoder, target, said",
    [
        ("gin[side=quality]", "quality", "is the target"),
        ("gin[side=parameters]", "parameters", "is the target"),
        ("gin[side=valid_error]", "test_error", "another score of the same training"),
        ("gin[side=holes]", "quality", "not measured for every"),
        ("gin[side=qualty]", "cost", "quality"),
        ("gin[pretext=zero_cost(proxy=early)]", "quality", "parameters, proxy"),
        ("gin[pretext=zero_cost]", "parameters", "is the target itself"),
        ("nar_former[pretext=masked_ops]", "quality", "nar_former does not give"),
        ("gin[source=cells]", "quality", "same=true"),
        ("gin[source=cells(same=true)]", "quality", "is the target"),
    ],
)
def test_what_would_hand_over_a_label_or_cannot_be_had_is_refused(encoder, target, said, cells, tables):
    holes = cells.target("early").copy()
    holes[5] = np.nan
    wide = with_columns(cells, valid_error=cells.target("early"), test_error=cells.target("early"), holes=holes)
    spec = parse(encoder)[0]
    with pytest.raises(ArchrankError, match=said):
        check_additions(spec.additions, spec.info, spec.config, wide, target)


def test_a_plan_leaves_out_what_is_refused_and_says_why(cells):
    names = f"gin[dim=8],gin[dim=8,side=quality],nar_former[pretext=masked_ops({FEW})]"
    plan = make_plan(parse_list(names), benchmarks=[cells], budgets=[12], seeds=1)
    assert [item.spec.label for item in plan.trials] == ["gin[dim=8]"]
    assert dict(plan.left_out) == {
        "gin[dim=8,side=quality] on cells/quality": "side input quality is the target, or another score of the same "
        "training",
        "nar_former[pretext=masked_ops(batch=16,updates=3)] on cells/quality": "pretext masked_ops(batch=16,updates=3) "
        "asks for states of nodes, which nar_former does not give here",
    }


@pytest.mark.parametrize(
    "encoder, said",
    [
        ("gin[pretext=flow_surogate]", "flow_surrogate"),
        ("gin[unlabelled=train]", "pretext="),
        ("gin[side=gcn]", "learned encoder"),
        ("brp_nas_relation[side=base]", "compares embeddings"),
        ("gin[pretext=counts,side=cate,unlabelled=train]", "graphs of all"),
        ("gin[source=other(label=3)]", "labels"),
        ("gin[source=other,pretext=masked_ops]", "leave one of them out"),
        ("gin[source=other(labels=many)]", "no int"),
        ("gin[source=other(zero_shot=true),side=base]", "leave pretext and side out"),
        ("gin[source=a+b(target=x+y)]", "give one table"),
        ("gin[source=a(same=true,others=true)]", "give one of them"),
        ("brp_nas_relation[source=other(zero_shot=true)]", "compares pairs"),
        ("gin[source=other(head=true),pretext=counts]", "keeps the head"),
        ("path[side=base]", "side"),
        ("auto[side=base]", "side"),
        ("auto[source=other(zero_shot=true)]", "for networks"),
        ("auto[source=other(updates=9)]", "for networks"),
    ],
)
def test_what_makes_no_sense_is_one_line(encoder, said):
    with pytest.raises(ArchrankError, match=said):
        parse(encoder)


def test_one_pretext_has_one_spelling():
    one = parse("gin[source=a + b(same=true, labels=9),pretext=counts(seed=0, updates=9),side=base + flops]")[0]
    assert one.label == "gin[pretext=counts(updates=9),side=base+flops,source=a+b(labels=9,same=true)]"
    assert parse(one.label)[0].config == one.config


def test_random_labels_stay_unpredictable_in_whatever_order_trials_run(tables, tmp_path):
    plain = synthetic(400, seed=3)
    rng = np.random.default_rng(5)
    planted = with_columns(plain, quality=rng.random(400), leak=rng.random(400), parameters=plain.mask.sum(1) * 1.0)
    handed = with_columns(planted, leak=planted.target("quality") + rng.normal(0, 1e-3, 400))
    brief = COMMON.model_copy(update={"updates": 60, "lr": 0.02})

    def taus(folder, benchmark, encoder, target="quality"):
        plan = make_plan(
            parse_list(encoder), benchmarks=[benchmark], budgets=[40], seeds=2, recipe=brief, targets=[target]
        )
        run(plan, tmp_path / folder, workers=0)
        return [Store(tmp_path / folder).read(item.trial.key).metrics["kendall"] for item in plan.trials]

    encoder = "gin[dim=8,pretext=counts(updates=20),side=base,source=far(updates=20,labels=60)]"
    alone = taus("alone", planted, encoder)
    taus("after", planted, encoder, "parameters")
    taus("after", handed, encoder)
    assert taus("after", planted, encoder) == alone
    assert abs(np.mean(alone)) < 0.1  # 200 test architectures: one tau's standard error is 0.05
    assert np.mean(taus("alone", handed, "gin[dim=8,side=leak]")) > 0.5  # so that a leak would be seen


OWN = """
import torch
from archrank.encoders.pretexts import pretext
from archrank.encoders.pretexts.regression import Regression

@pretext("own")
class Own(Regression):
    '''The number of edges.'''
    def __init__(self, encoder, graphs, space):
        super().__init__(encoder, graphs, graphs.adj.sum((1, 2)).unsqueeze(-1))

@pretext("idle")
class Idle(torch.nn.Module):
    '''Nothing of the encoder.'''
    def __init__(self, encoder, graphs, space):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
    def forward(self, encoder, graphs, done):
        return self.weight ** 2
"""


def test_a_pretext_of_ones_own_is_checked_and_its_source_is_in_the_key(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    for name, verdict, said in (("Own", "pass", "repeats to the bit"), ("Idle", "fail", "does not reach the encoder")):
        spec = parse(f"gin[dim=8,pretext={path}:{name}]")[0]
        actual, answer = check_pretext(CheckedEncoder(spec, synthetic()))
        assert actual == verdict and said in answer, answer
    before = spec.source
    path.write_text(OWN + "EDITED = True\n")
    assert parse(spec.label)[0].source != before != parse("gin[dim=8]")[0].source


def test_a_predictor_is_given_what_needs_no_table(cells, tables, tmp_path):
    graphs, scores = cells.graphs[:12], cells.target()[:12]
    made = {}
    for given_it in (f"pretext=counts({FEW})", "source=far(updates=5,labels=40)"):
        encoder = f"gin[dim=8,{given_it}]"
        made[given_it] = Predictor(encoder, cells.space, "quick", members=2).fit(graphs, scores, pool=cells.graphs[12:])
        made[given_it].save(tmp_path / "saved")
        again = Predictor.load(tmp_path / "saved")
        assert np.allclose(again.predict(cells.graphs), made[given_it].predict(cells.graphs), atol=1e-4)
    plain = Predictor("gin[dim=8]", cells.space, "quick", members=2).fit(graphs, scores)
    predictions = [one.predict(cells.graphs) for one in (plain, *made.values())]
    assert not any(np.allclose(one, other) for one, other in pairwise(predictions))
    with pytest.raises(ArchrankError, match="leave them out here"):
        Predictor("gin[dim=8,side=base]", cells.space).fit(graphs, scores)


def test_a_search_gives_its_predictors_what_a_run_does(cells, tmp_path):
    names = f"gin[dim=8],gin[dim=8,pretext=counts({FEW}),side=base]"
    plan = plan_searches(
        parse_list(names), benchmarks=[cells], strategies=["predictor"], queries=24, repeats=2, recipe="quick"
    )
    assert run_searches(plan, tmp_path, workers=0).failed == []
    assert len(list((tmp_path / "pretraining").iterdir())) == 1 and len({task.key for task in plan.tasks}) == 2
    for encoder, said in (
        ("gin[side=quality]", "is the target"),
        (f"gin[pretext=counts({FEW}),unlabelled=train]", "has no split"),
    ):
        with pytest.raises(ArchrankError, match=said):
            plan_searches(parse_list(encoder), benchmarks=[cells], strategies=["predictor"])
    with pytest.raises(ArchrankError, match="has no split"):
        Search(cells, "predictor", encoder="gin[source=other(zero_shot=true)]")


def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capfd):
    page = (Path(__file__).parents[3] / "docs" / "pretraining.md").read_text()
    run_it, report_it = re.search(r"```sh\n(.*?)```", page, re.S)[1].strip().splitlines()
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(run_it)
    done = ended(capfd, *words, "--workers", "0")
    assert program == "archrank"
    assert done.returncode == 0 and "9 trained, 0 failed" in done.stdout, done.stdout + done.stderr
    assert "--store tricks" in report_it
    section = tricks_section(read_study([tmp_path / "tricks"]))
    [table] = [block for block in section.blocks if hasattr(block, "rows")]
    assert {row["what"].text for row in table.rows} == {"pretext=flow_surrogate(updates=30)", "side=parameters+flops"}
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    assert set(PRETEXTS) <= listed
