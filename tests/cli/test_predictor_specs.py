"""`Predictor` with every kind of predictor, of several members, on architectures that nobody has seen."""

import networkx as nx
import numpy as np
import pytest
import torch

from archrank import ArchrankError, Predictor
from archrank.eval.engine.recipes import TunedRecipe, variant
from archrank.eval.metrics import kendall

SHORT = "quick"


@pytest.fixture(scope="module")
def task(cells):
    rows = np.random.default_rng(0).permutation(len(cells))
    return cells.graphs, cells.target(), rows[:60], rows[60:160]


@pytest.mark.parametrize(
    "encoder, members, least",
    [
        ("path+gp", 1, 0.3),
        ("adjacency+boosting[trees=40]", 3, 0.2),
        ("bag_of_ops+forest[trees=20]", 1, 0.0),
        ("adjacency", 2, 0.1),
        ("base", 1, 0.2),
        ("gin[dim=8,layers=2]", 3, 0.0),
    ],
)
def test_every_kind_ranks_with_deviations_and_is_saved(cells, task, tmp_path, encoder, members, least):
    graphs, scores, train, test = task
    model = Predictor(encoder, cells.space, SHORT, members=members).fit(graphs[train], scores[train])
    predicted, std = model.predict(graphs[test], return_std=True)
    assert predicted.shape == std.shape == (len(test),) and (std >= 0).all() and std.max() > 0
    assert np.array_equal(predicted, model.predict(graphs[test])) and kendall(scores[test], predicted) > least
    assert len(model.encode(graphs[test[:3]])) == 3
    model.save(tmp_path / "p.safetensors")
    again = Predictor.load(tmp_path / "p.safetensors")
    assert again.members == members
    for one, other in zip(again.predict(graphs[test], return_std=True), (predicted, std)):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_auto_is_a_predictor_like_others(cells, task, tmp_path):
    graphs, scores, train, test = task
    model = Predictor("auto[preset=fast]", cells.space, SHORT).fit(graphs[train], scores[train])
    predicted, std = model.predict(graphs[test], return_std=True)
    assert kendall(scores[test], predicted) > 0.3 and (std > 0).all()
    with pytest.raises(ArchrankError, match="no encoding of its own"):
        model.encode(graphs[test])
    with pytest.raises(ArchrankError, match="is saved by archrank.AutoPredictor"):
        model.save(tmp_path / "p.safetensors")
    with pytest.raises(ArchrankError, match="members=2: auto.* is several predictors already"):
        Predictor("auto", cells.space, members=2).fit(graphs[train], scores[train])


def test_a_tuned_recipe_chooses_by_held_out_labels(cells, task, tmp_path, monkeypatch):
    graphs, scores, train, test = task
    worthless = variant("still", updates=1, lr=1e-9)
    recipe = TunedRecipe("tuned", worthless, ({"lr": 2e-2, "updates": 40}, {"weight_decay": 0.5}))
    monkeypatch.setattr("archrank.eval.predictor.find_recipe", lambda _: recipe)
    model = Predictor("gin[dim=8,layers=2]", cells.space, "tuned", members=2).fit(graphs[train], scores[train])
    monkeypatch.setattr("archrank.eval.predictor.find_recipe", lambda _: variant("still", lr=2e-2, updates=40))
    alike = Predictor("gin[dim=8,layers=2]", cells.space, "moving", members=2).fit(graphs[train], scores[train])
    assert np.array_equal(model.predict(graphs[test]), alike.predict(graphs[test]))
    monkeypatch.setattr("archrank.eval.predictor.find_recipe", lambda _: recipe)
    model.save(tmp_path / "p.safetensors")
    with pytest.raises(ArchrankError, match="recipe tuned tunes encoders that are trained, which adjacency is not"):
        Predictor("adjacency", cells.space, "tuned").fit(graphs[train], scores[train])


def test_a_pre_trained_encoding_needs_to_see_what_it_encodes(cells, task, tmp_path):
    graphs, scores, train, test = task
    model = Predictor(
        "cate[dim=8,layers=1,cross_layers=1,heads=1,hidden=8,cross_hidden=8,updates=3]+dngo[passes=20]", cells.space
    )
    model.fit(graphs[train], scores[train], pool=graphs[test])
    predicted, std = model.predict(graphs[test], return_std=True)
    assert np.isfinite(predicted).all() and (std > 0).all()
    with pytest.raises(
        ArchrankError, match=r"architecture 0 \(with 4 more\) was not there: fit\(graphs, scores, pool=candidates\)"
    ):
        model.predict(graphs[np.setdiff1d(np.arange(len(cells)), [*train, *test])[:5]])
    model.save(tmp_path / "p.safetensors")
    assert Predictor.load(tmp_path / "p.safetensors").predict(graphs[test]) == pytest.approx(predicted, rel=1e-4)


def test_members_are_the_seeds_and_the_first_is_the_one_alone(cells, task):
    graphs, scores, train, test = task
    one = Predictor("adjacency+boosting[trees=20]", cells.space).fit(graphs[train], scores[train])
    many = Predictor("adjacency+boosting[trees=20]", cells.space, members=4).fit(graphs[train], scores[train])
    each = many.model_.opinions(graphs[test]).scores
    assert np.array_equal(each[0], one.predict(graphs[test])) and not np.array_equal(each[0], each[1])
    predicted, std = many.predict(graphs[test], return_std=True)
    assert np.allclose(predicted, each.mean(0)) and np.allclose(std, each.std(0, ddof=1))
    for model, said in (
        (
            one,
            r"one adjacency\+boosting\[trees=20\] has no standard deviation; several have: Predictor\(..., members=5\)",
        ),
        (Predictor("path+ridge", cells.space, members=2).fit(graphs[train], scores[train]), "nothing in it is random"),
    ):
        with pytest.raises(ArchrankError, match=said):
            model.predict(graphs[test], return_std=True)


def test_graphs_nobody_has_seen_are_scored_or_refused_with_a_remedy(cells, task):
    graphs, scores, train, test = task
    names = [cells.space.ops[op] for op in (0, 1, len(cells.space.ops) - 1)]
    seen = graphs[test].to_networkx()
    model = Predictor("adjacency+boosting[trees=20]", cells.space, members=2).fit(graphs[train], scores[train])
    assert np.array_equal(model.predict(seen), model.predict(graphs[test]))
    wide = nx.DiGraph([(v, v + 1) for v in range(11)])
    nx.set_node_attributes(wide, {v: names[0 if v == 0 else 2 if v == 11 else 1] for v in range(12)}, "op")
    with pytest.raises(ArchrankError, match=r"item 0: 12 nodes, more than the .* space.opened\(\) takes such graphs"):
        model.predict([wide])
    for encoder in ("adjacency+boosting[trees=20]", "gin[dim=8,layers=1]", "dagnn[dim=8,layers=1]"):
        opened = Predictor(encoder, cells.space.opened(12), SHORT, members=2).fit(graphs[train], scores[train])
        actual, std = opened.predict([wide, *seen[:3]], return_std=True)
        assert np.isfinite(actual).all() and actual.shape == std.shape == (4,)


OWN = """
from archrank import encoding


@encoding("own_ranks")
def own_ranks(graphs, space):
    size = graphs.mask.sum(1, keepdim=True).float()
    return (size - size.mean()) / size.std()
"""


def test_an_encoding_that_depends_on_the_others_is_found_out(cells, task, tmp_path):
    graphs, scores, train, test = task
    (tmp_path / "own.py").write_text(OWN)
    model = Predictor(f"{tmp_path / 'own.py'}:own_ranks+ridge", cells.space).fit(graphs[train], scores[train])
    with pytest.raises(
        ArchrankError, match="own_ranks gives an architecture other features when it is encoded beside others"
    ):
        model.predict(graphs[test])
    model.fit(graphs[train], scores[train], pool=graphs[test])
    assert np.isfinite(model.predict(graphs[test])).all()


def test_progress_is_told(cells, task, capsys):
    graphs, scores, train, _ = task
    for encoder in ("gin[dim=8,layers=1]", "path+ridge"):
        heard = []
        Predictor(encoder, cells.space, SHORT, members=2, progress=heard.append).fit(graphs[train], scores[train])
        assert heard == sorted(heard) and 0 <= heard[0] <= heard[-1] <= 1 and len(heard) > 1
    Predictor("path+ridge", cells.space, progress=True).fit(graphs[train], scores[train])


def test_a_hostile_file_of_a_fitted_head_is_one_line(cells, task, tmp_path):
    import json

    from safetensors import safe_open
    from safetensors.torch import save_file

    graphs, scores, train, _ = task
    path = tmp_path / "p.safetensors"
    Predictor("path+forest[trees=3]", cells.space).fit(graphs[train], scores[train]).save(path)
    with safe_open(path, "pt") as kept:
        header, tensors = json.loads(kept.metadata()["archrank"]), {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    for changed, tensor, said in (
        ({"head": "forest[trees=100000000]"}, {}, "'trees' is larger"),
        ({"kind": "networks"}, {}, "is a fixed encoding"),
        ({}, {"known/labels": torch.zeros(1, dtype=torch.float64)}, "damaged"),
        ({}, {"known/features": tensors["known/features"][:, :3].contiguous()}, "differ|does not fit|features"),
        ({}, {"known/ops": tensors["known/ops"] + 100}, "do not fit the space"),
        ({"members": 10**6}, {}, "from another version"),
    ):
        save_file({**tensors, **tensor}, path, {"archrank": json.dumps(header | changed)})
        with pytest.raises(ArchrankError, match=said):
            Predictor.load(path)
