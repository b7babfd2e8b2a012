import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
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
@pytest.mark.parametrize(
    "encoder", ["nar_former[dim=24,layers=1]", "gated_gcn[dim=8]", "brp_nas[dim=8]", "gcn[dim=8,backend=pyg]"]
)
def test_what_is_saved_predicts_the_same(cells, tmp_path, encoder):
    model = Predictor(encoder, cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20])
    model.save(tmp_path / "p.safetensors")
    again = Predictor.load(tmp_path / "p.safetensors")
    assert again.predict(cells.graphs[:30]) == pytest.approx(model.predict(cells.graphs[:30]), rel=1e-5, abs=1e-6)


def test_what_a_file_names_is_never_imported(cells, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "import pathlib\nfrom archrank.encoders.gnn.gin import GIN\n\npathlib.Path(__file__).with_name('ran').touch()\n\n\nclass Own(GIN):\n"
        "    def __init__(self, space, *, sizes: tuple[int, ...] = (4, 4), scale: float | None = 1.0):\n        super().__init__(space, dim=sizes[0])\n"
    )
    written = f"{path}:Own[scale=null,sizes=(6,2)]"
    model = Predictor(written, cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20])
    model.save(tmp_path / "p.safetensors")
    (tmp_path / "ran").unlink()
    with pytest.raises(ArchrankError, match=r"pass its class, Predictor.load\(path, encoder=MyEncoder\)$"):
        Predictor.load(tmp_path / "p.safetensors")
    assert not (tmp_path / "ran").exists()
    for given in (parse(written)[0].info.load(), f"{path}:Own"):
        again = Predictor.load(tmp_path / "p.safetensors", encoder=given)
        assert np.array_equal(again.predict(cells.graphs[:9]), model.predict(cells.graphs[:9]))


STATEFUL = """
import torch
from torch import nn


class Base(nn.Module):
    def __init__(self, space, *, dim: int = 6):
        super().__init__()
        self.embed = nn.Embedding(len(space.ops), dim)

    def sums(self, graphs):
        return (self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)).sum(1)


class NotPersistent(Base):
    def __init__(self, space, *, dim: int = 6):
        super().__init__(space, dim=dim)
        self.register_buffer("project", torch.randn(dim, dim), persistent=False)

    def forward(self, graphs):
        return self.sums(graphs) @ self.project


class Listed(Base):
    def __init__(self, space, *, dim: int = 6):
        super().__init__(space, dim=dim)
        self.layers = nn.ModuleList([nn.Linear(dim, dim)] * 3)

    def forward(self, graphs):
        x = self.sums(graphs)
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


class Tied(Base):
    def __init__(self, space, *, dim: int = 6):
        super().__init__(space, dim=dim)
        self.out = nn.Linear(dim, len(space.ops), bias=False)
        self.out.weight = self.embed.weight

    def forward(self, graphs):
        return self.out(self.sums(graphs))


class Scaled(Base):
    def __init__(self, space, *, dim: int = 6):
        super().__init__(space, dim=dim)
        self.scale = 0.5 + float(torch.rand(()))

    def forward(self, graphs):
        return self.sums(graphs) * self.scale


class Projected(Base):
    def __init__(self, space, *, dim: int = 6):
        super().__init__(space, dim=dim)
        self.project = [torch.randn(dim, dim)]

    def forward(self, graphs):
        return self.sums(graphs) @ self.project[0]
"""


@pytest.mark.parametrize(
    ("name", "exact"),
    [("NotPersistent", True), ("Listed", True), ("Tied", True), ("Scaled", False), ("Projected", False)],
)
def test_a_saved_predictor_is_exact_or_refused(cells, tmp_path, name, exact):
    path = tmp_path / "own.py"
    path.write_text(STATEFUL)
    model = Predictor(f"{path}:{name}", cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20])
    if not exact:
        with pytest.raises(
            ArchrankError, match="cannot be saved exactly: it keeps state outside its parameters and buffers"
        ):
            model.save(tmp_path / "p.safetensors")
        assert not (tmp_path / "p.safetensors").exists()
        return
    model.save(tmp_path / "p.safetensors")
    torch.manual_seed(1)
    again = Predictor.load(tmp_path / "p.safetensors", encoder=f"{path}:{name}")
    assert np.array_equal(again.predict(cells.graphs[20:60]), model.predict(cells.graphs[20:60]))


def test_an_encoder_that_changed_since_is_refused(cells, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(STATEFUL)
    Predictor(f"{path}:NotPersistent", cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20]).save(
        tmp_path / "p.safetensors"
    )
    (tmp_path / "edited.py").write_text(STATEFUL.replace("graphs) @ self.project\n", "graphs) @ self.project.T\n"))
    with pytest.raises(ArchrankError, match="did the encoder change since"):
        Predictor.load(tmp_path / "p.safetensors", encoder=f"{tmp_path / 'edited.py'}:NotPersistent")


def test_damaged_and_hostile_files_are_one_line(cells, tmp_path):
    path = tmp_path / "p.safetensors"
    Predictor("gcn[dim=8,layers=1]", cells.space, recipe="quick").fit(cells.graphs[:20], cells.target()[:20]).save(path)
    whole = path.read_bytes()
    with safe_open(path, "pt") as kept:
        header, tensors = json.loads(kept.metadata()["archrank"]), {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118

    def refused(said, **changes):
        save_file(
            {name: tensor for name, tensor in tensors.items() if name not in changes.get("without", ())},
            path,
            {"archrank": changes["text"] if "text" in changes else json.dumps(header | changes.get("header", {}))},
        )
        with pytest.raises(ArchrankError, match=said) as caught:
            Predictor.load(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600

    refused("from another version", text="[" * 100_000)
    refused("from another version", text="null")
    wrong: dict[str, list[Any]] = {
        "encoder": [3, None],
        "options": [[], {"nonsense": 1}],
        "config": [{"dim": "x"}, {"dim": 10**7}, {"dim": -1}],
        "seed": [-1, "0", 10**30],
        "layers": [{}, {"hidden": [10**9]}, None],
        "head": ["../x.py:Head", "nonsense[", 1],
        "space": [None, {"name": "x"}],
        "direction": ["up"],
        "version": [2],
    }
    for field, values in wrong.items():
        for value in values:
            if not (field == "layers" and value == {}) and not (field == "head" and value == "nonsense["):
                refused("p.safetensors|option of encoder|encoder gcn", header={field: value})
    refused("not built in", header={"encoder": "evil.module:X"})
    refused("fixed encoding", header={"encoder": "path"})
    refused(
        "do not fit the space",
        header={"space": header["space"] | {"max_nodes": 10**6}},
        without=["space/support", "space/constant"],
    )
    for name in tensors:
        refused("p.safetensors", without=[name]) if not name.startswith("space/") else None
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 3000), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole))] if rng.random() < 0.3 else damaged)
        try:
            Predictor.load(path).predict(cells.graphs[:2])
        except ArchrankError as error:
            assert "\n" not in str(error)
    for missing in (tmp_path, tmp_path / "none", "/dev/zero"):
        with pytest.raises(ArchrankError, match="is no file"):
            Predictor.load(missing)


def test_scikit_learn_can_cross_validate_it(cells):
    actual = cross_val_score(
        Predictor("gcn[dim=16]", cells.space, recipe="quick"), cells.graphs[:40], cells.target()[:40], cv=2
    )
    assert actual.shape == (2,) and (np.abs(actual) <= 1).all()


def test_wrong_input_is_one_line(cells):
    model = Predictor("gcn", cells.space)
    for graphs, scores, said in (
        (cells.graphs[:0], [], "no architecture"),
        ([1, 2], [1.0, 2.0], "item 0 and 1 more: a int is no graph"),
        ("ab", [1.0, 2.0], "not as str"),
        (cells.graphs[:2], ["a", "b"], "numbers"),
        (cells.graphs[:2], [1.0, 1.0], "no order to learn"),
    ):
        with pytest.raises(ArchrankError, match=said):
            model.fit(graphs, scores)
    with pytest.raises(ArchrankError, match="max or min"):
        Predictor("gcn", cells.space, direction="maximize").fit(cells.graphs[:2], [1.0, 2.0])
    with pytest.raises(ArchrankError, match="needs the search space"):
        Predictor("gcn", "digits101").fit(cells.graphs[:2], [1.0, 2.0])
    for graphs, scores, said in (
        (cells.graphs[:5], [1.0] * 4, "5 architectures but scores"),
        (cells.graphs[:2], [1.0, np.nan], "score 1 is not"),
        (cells.graphs[:2].pad(9), [1.0, 2.0], r"fit on space.opened\(max_nodes=9\)"),
    ):
        with pytest.raises(ArchrankError, match=said):
            model.fit(graphs, scores)
    for more, said in (({"seed": "a"}, "seed 'a'"), ({"device": "tpu"}, "unknown device 'tpu'")):
        with pytest.raises(ArchrankError, match=said):
            Predictor("gcn", cells.space, **more).fit(cells.graphs[:2], [1.0, 2.0])
    for more, said in (({"encoder": "g*n"}, "names 4 encoders"), ({"members": 0}, "members 0")):
        with pytest.raises(ArchrankError, match=said):
            Predictor(**{"encoder": "gcn", "space": cells.space, **more}).fit(cells.graphs[:2], [1.0, 2.0])


def test_a_file_that_is_no_saved_predictor_is_one_line(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, said in (("other", "not those of a saved predictor"), ("text", "is no file of weights")):
        with pytest.raises(ArchrankError, match=said):
            Predictor.load(tmp_path / f"{name}.safetensors")
