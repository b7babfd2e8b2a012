"""Searching a table: what a strategy may do, what random search must reach, and what is stored."""

import itertools

import numpy as np
import pytest

from archrank.datasets import available, load
from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.recipes import SEARCH
from archrank.eval.metrics import kendall
from archrank.eval.search.compare import compare_searches
from archrank.eval.search.guided import GuidedPool
from archrank.eval.search.loop import run_search, search_task
from archrank.eval.search.neighbours import neighbour_rows
from archrank.eval.search.plan import metrics_of, plan_searches
from archrank.eval.search.pool import Pool
from archrank.eval.search.run import run_searches
from archrank.eval.search.steps import Belief, History
from archrank.eval.search.strategies import STRATEGIES
from archrank.eval.search.study import Search
from archrank.eval.search.surrogate import Question, Surrogate
from archrank.eval.search.traces import Judge, Regret, expected_best, read_searches, write_search
from archrank.eval.search.verdict import agreement, published_order, sentences, strategy_order
from archrank.eval.trials.specs import parse_list

QUERIES = 40


class Oracle:
    """A predictor that knows every score."""

    def __init__(self, scores):
        self.scores = scores

    def believe(self, questions):
        return [Belief(self.scores[list(q.candidates)], np.full(len(q.candidates), 1e-6)) for q in questions]


def task_of(table, strategy, **more):
    if strategy == "reinforce":
        strategy = "reinforce[perturb=adjacency,hidden=8]"
    specs = parse_list("canonical_path+gp") if STRATEGIES[strategy.partition("[")[0]].predicts else []
    return plan_searches(specs, benchmarks=[table], strategies=[strategy], queries=QUERIES, repeats=4, **more).tasks[0]


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_strategy_spends_its_budget_on_different_architectures(table, pool, strategy):
    scores = table.oriented("val_accuracy")[pool.rows]
    task = task_of(table, strategy)
    if strategy == "reinforce":  # it moves in an encoding
        pool = GuidedPool.over(pool, {"perturb": table.ops.astype(float)})
    traces = run_search(task, pool, scores, Oracle(scores))
    assert [len(rows) for rows in traces.rows] == [QUERIES] * 4
    assert all(len(set(rows)) == QUERIES and set(rows) <= set(pool.rows.tolist()) for rows in traces.rows)
    assert len({tuple(rows) for rows in traces.rows}) == 4
    assert run_search(task, pool, scores, Oracle(scores)).rows == traces.rows
    # Repeats are paired: every strategy starts from the same random architectures.
    start = run_search(task_of(table, "random"), pool, scores, None).rows
    assert [rows[:10] for rows in traces.rows] == [rows[:10] for rows in start]


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if STRATEGIES[name].predicts])
def test_with_a_perfect_predictor_it_finds_good_ones(table, pool, strategy):
    scores = table.oriented("val_accuracy")[pool.rows]
    scale = 10 * (scores - scores.mean()) / scores.std()
    traces = run_search(task_of(table, strategy), pool, scores, Oracle(scale))
    better = [(scores > table.oriented("val_accuracy")[rows].max()).sum() for rows in traces.rows]
    # These rank the whole table; the others draw among the 100 best predicted, or among what is one edit away.
    assert max(better) == 0 if strategy in ("bo", "brp_nas", "cate_dngo_ls") else max(better) <= 5


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_pool_smaller_than_the_budget_is_used_up(table, strategy):
    small = table.subset(np.arange(25))
    pool = Pool.of(small, [small.target("val_accuracy")])
    if strategy == "reinforce":
        pool = GuidedPool.over(pool, {"perturb": small.ops.astype(float)})
    scores = small.oriented("val_accuracy")[pool.rows]
    traces = run_search(task_of(small, strategy), pool, scores, Oracle(scores))
    assert all(sorted(rows) == sorted(pool.rows.tolist()) for rows in traces.rows)


def test_a_published_defect_pays_again_for_what_is_known(table, pool, tmp_path):
    scores = table.oriented("val_accuracy")[pool.rows]
    strategy = "predictor[initial=16,batch=5,top=5,requery=true]"
    task = task_of(table, strategy)
    traces = run_search(task, pool, scores, Oracle(scores))
    assert [len(rows) for rows in traces.rows] == [QUERIES] * 4
    # A predictor that is right proposes the same five for ever; after them it learns nothing.
    assert all(len(set(rows[16:])) == 5 for rows in traces.rows)
    write_search(tmp_path, task, traces.rows, 0.0, {})
    (record,), problems = read_searches([tmp_path])
    assert record.rows == traces.rows and not problems
    study = Search(table, strategy, "canonical_path+ridge", folder=tmp_path)
    with pytest.raises(ArchrankError, match="evaluated again"):
        for _ in range(100):
            rows = study.ask(16)
            study.tell(rows, [table.oriented("val_accuracy")[row] for row in rows])


def test_expected_best_by_enumeration():
    values = np.array([0.3, 0.9, 0.1, 0.5, 0.2])  # in the order of preference, whatever they are worth
    for n in range(1, 6):
        drawn = [values[min(chosen)] for chosen in itertools.combinations(range(5), n)]
        assert expected_best(values, 5)[n - 1] == pytest.approx(np.mean(drawn), rel=1e-12)


def test_random_search_reaches_what_the_table_says(table, pool):
    judge = Judge.of(table, task_of(table, "random"))
    task = plan_searches([], benchmarks=[table], strategies=["random"], queries=QUERIES, repeats=400).tasks[0]
    traces = run_search(task, pool, table.oriented("val_accuracy")[pool.rows], None)
    curve = np.array(
        [
            judge.optimum - judge.test[[rows[np.argmax(judge.valid[rows[:n]])] for n in range(1, QUERIES + 1)]]
            for rows in traces.rows
        ]
    )
    error = curve.std(0, ddof=1) / np.sqrt(len(curve))
    ties = 0.0003  # equal validation scores: the first queried counts, the expectation takes the table's order
    assert (np.abs(curve.mean(0) - judge.expected_random(QUERIES)) < 4 * error + ties).all()


@pytest.mark.data
@pytest.mark.parametrize("name, degree", [("nasbench201", 24), ("transnasbench101_micro", 18)])
def test_neighbours_of_a_space_of_one_wiring(name, degree):
    if available()[name] == "missing":
        pytest.skip(f"needs {name}")
    bench = load(name)
    source, other = neighbour_rows(bench)
    assert (np.bincount(source, minlength=len(bench)) == degree).all()
    assert ((bench.ops[source] != bench.ops[other]).sum(1) == 1).all()


def test_neighbours_of_cells_are_one_edit_apart_and_symmetric():
    bench = load("digits101")
    source, other = neighbour_rows(bench)
    pairs = set(zip(source.tolist(), other.tolist()))
    assert all((b, a) in pairs for a, b in pairs) and all(a != b for a, b in pairs)
    # Same nodes, same operations but one or same edges but one, once both are in the table as they are.
    alike = (bench.mask[source] == bench.mask[other]).all(1)
    ops = (bench.ops[source] != bench.ops[other])[alike].sum(1)
    edges = (bench.adj[source] != bench.adj[other])[alike].sum((1, 2))
    assert len(ops) > 1000 and np.mean((ops + edges) == 1) > 0.5


def test_duplicates_are_one_candidate():
    bench = load("digits101").subset([0, 1, 2, 3])
    twice = bench.subset([0, 1, 2, 3, 1])
    pool = Pool.of(twice)
    assert len(pool) == 4 and pool.candidate[4] == pool.candidate[1]


def test_what_is_queried_and_what_judges(table):
    assert metrics_of(table, None, None) == ("val_accuracy", "test_accuracy")
    assert metrics_of(table, "latency_ms", None) == ("latency_ms", "latency_ms")
    with pytest.raises(ArchrankError, match="needs a predictor"):
        plan_searches([], benchmarks=[table], strategies=["bo"])
    with pytest.raises(ArchrankError, match="did you mean|unknown"):
        plan_searches([], benchmarks=[table], strategies=["randm"])


def test_networks_guide_a_search_by_their_spread(table, pool, tmp_path):
    specs = parse_list("gin[dim=8,layers=2]")
    plan = plan_searches(specs, benchmarks=[table], strategies=["bananas"], queries=20, repeats=2, recipe="quick")
    traces = search_task(plan.tasks[0], specs[0], plan.recipe, pool, tmp_path)
    assert [len(rows) for rows in traces.rows] == [20, 20]
    assert search_task(plan.tasks[0], specs[0], plan.recipe, pool, tmp_path).rows == traces.rows


def test_a_portfolio_guides_a_search_by_its_calibrated_deviation(table, pool, tmp_path):
    """What it believes is that of the portfolio itself; with fewer labels than folds can hold out it says so."""
    (spec,) = parse_list("auto[preset=fast,folds=2]")
    guide = Surrogate(spec, pool, "val_accuracy", SEARCH, folder=tmp_path)
    scores = table.target("val_accuracy")[pool.rows]
    known = History(list(range(40)), list(scores[:40]))
    (belief,) = guide.believe([Question(0, known, list(range(40, 90)), True)])
    assert kendall(scores[40:90], belief.mean) > 0.4
    error = np.abs(guide.job.labels(scores[:90])[40:] - belief.mean)
    assert (belief.std > 0).all() and (error < 1.645 * belief.std).mean() > 0.7
    with pytest.raises(ArchrankError, match="too few"):
        guide.believe([Question(0, History([0, 1], list(scores[:2])), [2, 3], True)])


def test_standings_find_what_is_better(table):
    judge = Judge.of(table, task_of(table, "random"))
    rng = np.random.default_rng(0)
    bad = judge.expected_random(50) * (1 + 0.1 * rng.random((12, 1)))
    good = bad * 0.3
    standings, differences = compare_searches(judge, [Regret("random", bad, 0.0), Regret("good", good, 0.1)])
    assert [item.label for item in standings] == ["good", "random"] and [item.tier for item in standings] == ["a", "b"]
    assert differences[0].significant and differences[0].difference.high < 0
    assert (
        "good ranks first" in (said := sentences(standings, differences, ""))[0]
        and "queries over random search." in said[1]
    )
    assert strategy_order(judge, [Regret("random", bad, 0.0), Regret("good / a", good, 0.1)]).endswith("good > random.")
    order = {"random": bad, "evolution": bad * 0.5, "local": good, "bananas / a": bad * 0.2}
    assert published_order(judge, [Regret(*item, 0.0) for item in order.items()]).endswith(") is found here.")
    order["local"] = order["evolution"]
    said = published_order(judge, [Regret(*item, 0.0) for item in order.items()])
    assert "evolution over random and bananas over evolution, not for local over evolution." in said
    assert published_order(judge, [Regret("random", bad, 0.0)]) == ""
    same, _ = compare_searches(judge, [Regret("one", bad, 0.0), Regret("two", bad, 0.0)])
    assert same[0].tier == same[1].tier == "a"


def test_the_two_boards_are_compared():
    rng = np.random.default_rng(0)
    tau = {name: 0.1 * place + 0.02 * rng.normal(size=5) for place, name in enumerate("abcde")}
    log = {name: -values.mean() + 0.01 * rng.normal(size=8) for name, values in tau.items()}
    same = agreement(tau, log)
    assert same.predictors == 5 and same.correlation.value == pytest.approx(1) and same.correlation.low > 0.8
    other = agreement(tau, {name: -values for name, values in log.items()})
    assert other.correlation.value == pytest.approx(-1) and "over 5 predictors: -1.00" in str(other)
    assert agreement({"a": tau["a"]}, log) is None


def test_ask_and_tell_is_the_same_search(table, pool, tmp_path):
    scores = table.oriented("val_accuracy")
    task = plan_searches(
        parse_list("canonical_path+gp"), benchmarks=[table], strategies=["bananas"], queries=30, repeats=2
    ).tasks[0]
    rows = search_task(task, parse_list("canonical_path+gp")[0], SEARCH, pool, tmp_path).rows[1]
    study = Search(table, "bananas", "canonical_path+gp", seed=1, folder=tmp_path)
    queried = []
    while len(queried) < 30:
        asked = study.ask(5)
        study.tell(asked, [scores[row] for row in asked])
        queried += asked
        if len(queried) == 15:
            study.save(tmp_path / "study.json")
            study = Search.load(tmp_path / "study.json", table, folder=tmp_path)
    assert queried == rows
    assert study.best() == max(queried, key=lambda row: scores[row])


def test_ask_and_tell_bears_failures_and_lower_is_better(table, tmp_path):
    cost = table.target("latency_ms")
    study = Search(table, "evolution", seed=0, direction="min")
    for number in range(30):
        asked = study.ask(3)
        study.tell(asked, [None if number == 0 else cost[row] for row in asked])
    assert study.history["score"].isna().sum() == 3
    assert study.best() == study.history.dropna().sort_values("score")["row"].iloc[0]
    with pytest.raises(ArchrankError, match="told before"):
        study.tell([study.best()], [1.0])
    with pytest.raises(ArchrankError, match="not in the pool"):
        study.tell([10**6], [1.0])
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ArchrankError, match="no saved search"):
        Search.load(tmp_path / "bad.json", table)


def test_a_search_outside_is_judged_by_the_pools_own_optimum(tmp_path):
    bench = load("digits101")
    plan = plan_searches([], benchmarks=[bench], strategies=["random"], queries=30, repeats=3, within="cate-outside")
    assert run_searches(plan, tmp_path, workers=0).done == 1
    (record,), _ = read_searches([tmp_path])
    rows = np.concatenate(record.rows)
    assert (bench.mask[rows].sum(1) == 6).all() and (bench.adj[rows].sum((1, 2)) >= 7).all()
    judge = Judge.of(bench, record.planned)
    outside = (bench.mask.sum(1) == 6) & (bench.adj.sum((1, 2)) >= 7)
    assert judge.optimum == bench.target("test_accuracy")[outside].max()
    assert judge.regret(record).curve.min() >= 0
    # As CATE publishes it: from the best of the space, which is out of reach.
    published = Judge.of(bench, record.planned, whole_table=True)
    assert published.optimum == bench.target("test_accuracy").max() and judge.out_of_reach > 0
    gap = published.regret(record).curve - judge.regret(record).curve
    assert np.allclose(gap, judge.out_of_reach)
    # A search of a whole table has the key it had before there was `within`.
    whole = plan_searches([], benchmarks=[bench], strategies=["random"], queries=30, repeats=3).tasks[0]
    assert whole.key != record.key
    with pytest.raises(ArchrankError, match="cate-outside|did you mean|unknown"):
        plan_searches([], benchmarks=[bench], strategies=["random"], within="cate-outsid")
