import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from archrank import ArchrankError, Predictor
from archrank.eval.metrics import kendall
from archrank.eval.trials.specs import parse


def test_fits_ranks_saves_and_loads(cells, tmp_path):
    scores, graphs = cells.target(), cells.graphs
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(cells)))
    model = clone(Predictor("gcn[dim=16,layers=2]", cells.space))
    with pytest.raises(NotFittedError):
        model.predict(graphs[rows[80:]])
    model.fit(graphs[rows[:80]], scores[rows[:80]])
    predicted = model.predict(graphs[rows[80:]])
    assert kendall(scores[rows[80:]], predicted) > 0.3
    assert model.encode(graphs[:3]).shape == (3, 16)
    model.save(tmp_path / "p.safetensors")
    assert np.array_equal(Predictor.load(tmp_path / "p.safetensors").predict(graphs[rows[80:]]), predicted)
    assert model.score(graphs[rows[80:]], scores[rows[80:]]) == kendall(scores[rows[80:]], predicted)


# Tensors beside the weights, kept and made anew; and a network that only runs as a loop.
@pytest.mark.parametrize("encoder", ["nar_former[dim=24,layers=1]", "gated_gcn[dim=8]", "brp_nas[dim=8]", "gcn[dim=8,backend=pyg]"])
def test_what_is_saved_predicts_the_same(cells, tmp_path, encoder):
    model = Predictor(encoder, cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20])
    model.save(tmp_path / "p.safetensors")
    again = Predictor.load(tmp_path / "p.safetensors")
    assert again.predict(cells.graphs[:30]) == pytest.approx(model.predict(cells.graphs[:30]), rel=1e-5, abs=1e-6)


def test_a_file_of_ones_own_is_found_again_from_anywhere(cells, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.py").write_text("from archrank.encoders.gnn.gin import GIN\n\n\nclass Own(GIN):\n    def __init__(self, space, *, sizes: "
                                             "tuple[int, ...] = (4, 4), scale: float | None = 1.0):\n        super().__init__(space, dim=sizes[0])\n")
    monkeypatch.chdir(tmp_path)
    written = "sub/own.py:Own[scale=null,sizes=(6,2)]"
    (spec,) = parse(written)
    assert spec.reference == written and spec.config == {"scale": None, "sizes": (6, 2)}
    model = Predictor(written, cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20])
    model.save("p.safetensors")
    monkeypatch.chdir(tmp_path / "sub")
    assert parse(spec.address)[0].config == spec.config
    assert np.array_equal(Predictor.load("../p.safetensors").predict(cells.graphs[:9]), model.predict(cells.graphs[:9]))


def test_scikit_learn_can_cross_validate_it(cells):
    found = cross_val_score(Predictor("gcn[dim=16]", cells.space, recipe="quick"), cells.graphs[:40], cells.target()[:40], cv=2)
    assert found.shape == (2,) and (np.abs(found) <= 1).all()


def test_wrong_input_is_one_line(cells):
    model = Predictor("gcn", cells.space)
    for graphs, scores, said in ((cells.graphs[:0], [], "no architecture"), ([1, 2], [1.0, 2.0], "not as list"), (cells.graphs[:2], ["a", "b"], "numbers"),
                                 (cells.graphs[:2], [1.0, 1.0], "no order to learn")):
        with pytest.raises(ArchrankError, match=said):
            model.fit(graphs, scores)
    with pytest.raises(ArchrankError, match="max or min"):
        Predictor("gcn", cells.space, direction="maximize").fit(cells.graphs[:2], [1.0, 2.0])
    with pytest.raises(ArchrankError, match="needs the search space"):
        Predictor("gcn", "digits101").fit(cells.graphs[:2], [1.0, 2.0])
    for graphs, scores, said in ((cells.graphs[:5], [1.0] * 4, "5 architectures but scores"), (cells.graphs[:2], [1.0, np.nan], "score 1 is not"),
                                 (cells.graphs[:2].pad(9), [1.0, 2.0], "use Graphs.pad")):
        with pytest.raises(ArchrankError, match=said):
            model.fit(graphs, scores)
    for more, said in (({"seed": "a"}, "seed 'a'"), ({"device": "tpu"}, "unknown device 'tpu'")):
        with pytest.raises(ArchrankError, match=said):
            Predictor("gcn", cells.space, **more).fit(cells.graphs[:2], [1.0, 2.0])
    with pytest.raises(ArchrankError, match="fixed encoding"):
        Predictor("path", cells.space).fit(cells.graphs[:5], range(5))


def test_a_file_that_is_no_saved_predictor_is_one_line(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, said in (("other", "not those of a saved predictor"), ("text", "is no file of weights")):
        with pytest.raises(ArchrankError, match=said):
            Predictor.load(tmp_path / f"{name}.safetensors")
