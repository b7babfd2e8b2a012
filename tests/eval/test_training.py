import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn
from torch.nn.functional import dropout

from archrank.datasets.graphs import Graphs
from archrank.encoders.gnn.gcn import NeuralPredictorGCN
from archrank.eval.engine.batching import Member, batches, steps_per_epoch
from archrank.eval.engine.labels import transform
from archrank.eval.engine.losses.pairwise import hinge, pair_mask, relation
from archrank.eval.engine.network import FixedEncoding
from archrank.eval.engine.random_numbers import HashedNoise, HostNoise
from archrank.eval.engine.recipes import COMMON, make_recipe
from archrank.eval.engine.supervised import supervised
from archrank.eval.engine.training import fit, learning_rate, train
from archrank.eval.engine.update import clip

SHORT = COMMON.model_copy(update={"updates": 6, "batch": 8})


def members(cells, count, size=12, tests=16):
    scores = cells.target()
    actual = []
    for seed in range(count):
        rows = np.random.default_rng(seed).permutation(len(scores))
        actual.append(Member(seed, rows[:size], transform(scores[rows[:size]], "normal"), rows[size : size + tests]))
    return actual


class TwoWay(nn.Module):
    """A user's encoder: plain dropout and layer norm, nothing of archrank's."""

    def __init__(self, space, dim=16):
        super().__init__()
        self.embed, self.lin, self.drop, self.norm = (
            nn.Embedding(len(space.ops), dim),
            nn.Linear(dim, dim),
            nn.Dropout(0.3),
            nn.LayerNorm(dim),
        )

    def forward(self, graphs):
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        x = self.norm(self.drop(torch.relu(self.lin(graphs.adj.to(x.dtype) @ x + x)))) * graphs.mask.unsqueeze(-1)
        return x.sum(-2)


class Stubborn(TwoWay):
    """Looks at its data: cannot run as one program."""

    def forward(self, graphs):
        assert int(graphs.mask.sum()) > 0
        return super().forward(graphs)


class Drawing(TwoWay):
    """Takes its random numbers from torch: cannot run as one program."""

    def forward(self, graphs):
        return dropout(super().forward(graphs), 0.3, self.training)


class Stateful(TwoWay):
    """Has a tensor of its own that is no buffer, and a buffer that it replaces."""

    def __init__(self, space):
        super().__init__(space)
        self.project = torch.randn(16, 4)
        self.scale: torch.Tensor
        self.register_buffer("scale", torch.ones(4))

    def forward(self, graphs):
        x = super().forward(graphs) @ self.project
        out = x * self.scale
        if self.training:
            self.scale = 0.5 * self.scale + 0.5 / (1 + x.abs().mean(0))
        return out


class StubbornStateful(Stateful, Stubborn):
    """The same in a loop."""


class PartlyDrawn(TwoWay):
    """Drops out rows of a table: as many random numbers for any batch."""

    def forward(self, graphs):
        x = self.drop(self.embed.weight)[graphs.ops] * graphs.mask.unsqueeze(-1)
        return self.norm(graphs.adj.to(x.dtype) @ x).sum(-2)


LOOPS = (Stubborn, Drawing, StubbornStateful)


@pytest.mark.parametrize("kind", [TwoWay, PartlyDrawn, Stateful, NeuralPredictorGCN, *LOOPS])
def test_a_member_is_the_same_alone(cells, kind):
    def build(member, probe):
        return kind(cells.space)

    # Batches of 8 and 4.
    recipe = SHORT.model_copy(update={"updates": None, "epochs": 3})
    together = train(build, cells.graphs, members(cells, 3), recipe)
    for m in range(3):
        torch.rand(m)
        alone = train(build, cells.graphs, members(cells, 3)[m : m + 1], recipe)[0]
        assert np.allclose(together[m].predictions, alone.predictions, rtol=1e-4, atol=1e-6)
    assert bool(together[0].notes) == (kind in LOOPS)
    assert not np.allclose(together[0].predictions, together[1].predictions)


def test_loop_and_one_program_agree_in_double_precision(cells):
    torch.set_default_dtype(torch.float64)
    try:

        def build(member, probe):
            return TwoWay(cells.space)

        both = [train(build, cells.graphs, members(cells, 2), SHORT, one_program=way) for way in (True, False)]
    finally:
        torch.set_default_dtype(torch.float32)
    for one, loop in zip(*both):
        assert np.allclose(one.predictions, loop.predictions, rtol=1e-6)


def without_dropout(model):
    model.drop = nn.Identity()
    return model


@pytest.mark.parametrize("kind", [Stateful, StubbornStateful])
def test_a_buffer_that_is_replaced_moves_on_as_in_a_plain_loop(cells, kind):
    ensemble_members, still = members(cells, 2), SHORT.model_copy(update={"lr": 0.0, "weight_decay": 0.0})
    trained = fit(lambda m, p: without_dropout(kind(cells.space)), cells.graphs, ensemble_members, still)
    assert bool(trained.notes) == (kind is StubbornStateful)
    for m, member in enumerate(ensemble_members):
        state = {
            name.removeprefix("encoder."): tensor[m]
            for name, tensor in (trained.ensemble.parameters | trained.ensemble.buffers).items()
        }
        plain = without_dropout(kind(cells.space))
        plain.load_state_dict({name: state[name] for name, _ in plain.named_parameters()} | {"scale": torch.ones(4)})
        plain.project = state["project"]
        for chosen in batches(12, SHORT, member.seed):
            plain(cells.graphs[torch.from_numpy(member.train[chosen])])
        assert torch.allclose(plain.scale, state["scale"]) and not torch.allclose(plain.scale, torch.ones(4), rtol=0.1)


def test_a_comparison_that_looks_at_its_data_trains_and_predicts_in_a_loop(cells):
    class Relation(TwoWay):
        def compare(self, first, second):
            assert float(first.detach().abs().sum()) > 0
            return (first - second).sum(-1)

    looped, alone = (
        train(lambda m, p: Relation(cells.space), cells.graphs, ensemble_members, SHORT, pairs=True)
        for ensemble_members in (members(cells, 2), members(cells, 2)[1:])
    )
    assert "trained sequentially" in looped[0].notes[0] and np.allclose(
        looped[1].predictions, alone[0].predictions, rtol=1e-4
    )


def test_a_loop_leaves_torchs_generator_alone(cells):
    torch.manual_seed(0)
    ensemble = fit(
        lambda m, p: without_dropout(Drawing(cells.space)), cells.graphs, members(cells, 2), SHORT
    ).ensemble.train()
    state = torch.get_rng_state()
    first, second = (ensemble.call(cells.graphs[torch.zeros(2, 8, dtype=torch.long)], "embed") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state) and not torch.equal(first, second)


def test_one_diverging_member_does_not_touch_the_others(cells):
    def build(member, probe):
        model = TwoWay(cells.space)
        if member.seed == 1:
            model.lin.weight.data.fill_(float("nan"))
        return model

    outcomes = train(build, cells.graphs, members(cells, 3), SHORT)
    assert [o.problem is not None for o in outcomes] == [False, True, False]
    clean = train(lambda m, p: TwoWay(cells.space), cells.graphs, members(cells, 3), SHORT)
    assert np.allclose(outcomes[2].predictions, clean[2].predictions, rtol=1e-5)


def test_labels_of_the_test_set_cannot_reach_training(cells):
    """Training and prediction get rows, labels of the training rows, and graphs: nothing else exists for them to
    see."""
    first = train(lambda m, p: TwoWay(cells.space), cells.graphs, members(cells, 1), SHORT)[0]
    scrambled = cells.subset(range(len(cells)))
    untouched = members(cells, 1)[0].train
    rest = np.setdiff1d(np.arange(len(cells)), untouched)
    scrambled.scores.loc[rest, "quality"] = np.random.default_rng(0).permutation(
        scrambled.scores.loc[rest, "quality"].to_numpy()
    )
    again = train(lambda m, p: TwoWay(cells.space), scrambled.graphs, members(scrambled, 1), SHORT)[0]
    assert np.array_equal(first.predictions, again.predictions)


def test_fixed_encodings_are_scaled_by_training_rows_alone():
    features = torch.tensor([[0.0, 5.0], [2.0, 5.0], [100.0, 7.0]])
    graphs = Graphs(
        torch.zeros(3, 1, dtype=torch.long),
        torch.zeros(3, 1, 1, dtype=torch.bool),
        torch.ones(3, 1, dtype=torch.bool),
        torch.zeros(3, 1, dtype=torch.long),
    )
    graphs.derive("f", lambda _: features)
    out = FixedEncoding("f", lambda g: features, features[:2].double().numpy())(graphs)
    assert out.tolist() == [[-1, 0], [1, 0], [99, 2]]


def test_batches_visit_everything_and_are_the_members_own():
    epochs = make_recipe("paper", {"epochs": 3, "batch": 8})
    seen = list(batches(21, epochs, seed=4))
    assert [len(b) for b in seen] == [8, 8, 5] * 3 and sorted(np.concatenate(seen[:3])) == list(range(21))
    assert all(np.array_equal(a, b) for a, b in zip(seen, batches(21, epochs, seed=4)))
    assert not all(np.array_equal(a, b) for a, b in zip(seen, batches(21, epochs, seed=5)))
    assert [len(b) for b in batches(17, epochs, seed=0)][:2] == [8, 8] and steps_per_epoch(17, epochs) == 2
    full = list(batches(20, COMMON.model_copy(update={"updates": 10, "batch": 16}), seed=0))
    assert [len(b) for b in full] == [16] * 10 and sorted(np.concatenate(full)[:20]) == list(range(20))


def test_learning_rate_trace_of_the_published_schedule():
    recipe = make_recipe(
        "paper", {"epochs": 300, "warmup": 30, "schedule": "cosine", "schedule_per": "epoch", "batch": 16}
    )
    factor = {epoch: learning_rate(recipe, epoch * 5 + 3, 1500, 5) for epoch in (0, 1, 30, 165, 299)}
    assert factor[0] == 1e-6 and factor[1] == pytest.approx(1 / 30) and factor[30] == 1.0
    assert factor[165] == pytest.approx(0.5) and factor[299] == pytest.approx(3.4e-5, rel=0.01)


def test_clipping_is_each_members_own_and_equals_torchs():
    torch.manual_seed(0)
    gradients = [torch.randn(3, 4, 5) * torch.tensor([0.01, 1.0, 10.0]).view(3, 1, 1), torch.randn(3, 7)]
    weights = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for w, g in zip(weights, gradients):
        w.grad = g.clone()
    clip([weight.grad for weight in weights], 1.0)
    for m in range(3):
        alone = [nn.Parameter(torch.zeros_like(g[m])) for g in gradients]
        for w, g in zip(alone, gradients):
            w.grad = g[m].clone()
        nn.utils.clip_grad_norm_(alone, 1.0)
        assert all(torch.allclose(w.grad[m], a.grad) for w, a in zip(weights, alone))


def test_hinge_on_a_pair_by_hand():
    labels, scores = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.2, 0.1]])
    assert hinge(scores, labels, pair_mask(labels, None, None), margin=0.5).item() == pytest.approx(0.4)
    assert hinge(scores, labels * 0, pair_mask(labels * 0, None, None), margin=0.5).item() == 0.0


@pytest.mark.parametrize("loss", ["hinge", "mse", "l1", "bpr"])
def test_losses_are_each_members_own_and_fall_when_scores_agree(loss):
    recipe = COMMON.model_copy(update={"loss": loss, "margin": 0.1})
    torch.manual_seed(1)
    labels = torch.randn(4, 9)
    scores = torch.randn(4, 9)
    whole = supervised(recipe, scores, labels)
    assert torch.allclose(
        whole, torch.cat([supervised(recipe, scores[m : m + 1], labels[m : m + 1]) for m in range(4)])
    )
    assert (supervised(recipe, labels, labels) < supervised(recipe, -labels, labels)).all()


def test_pair_cap_takes_exactly_so_many():
    labels = torch.randn(2, 10)
    pairs = pair_mask(labels, 2.0, torch.rand(2, 10, 10))
    assert (
        pairs.sum((-1, -2)).tolist() == [20, 20] and not (pairs & ~torch.ones(10, 10, dtype=torch.bool).triu(1)).any()
    )


def test_relation_loss_is_zero_at_the_truth():
    labels = torch.randn(2, 6)
    truth = labels.unsqueeze(-1) - labels.unsqueeze(-2)
    assert relation(truth, labels).abs().max() < 1e-6 and (relation(-truth, labels) > 0.1).all()


def test_label_transforms():
    values = np.array([3.0, 1.0, 2.0, 2.0])
    normal = transform(values, "normal")
    assert normal[0] == pytest.approx(norm.ppf((4 - 0.375) / 4.25)) and normal[2] == normal[3] and normal[1] < normal[2]
    assert np.allclose(transform(values, "normal", "min"), -normal)
    standard = transform(values, "standard")
    assert standard.mean() == pytest.approx(0) and standard.std() == pytest.approx(1)
    assert transform(np.full(3, 7.0), "standard").tolist() == [0, 0, 0]
    assert transform(values, "unit").tolist() == [0.03, 0.01, 0.02, 0.02]
    assert transform(values / 10, "unit", unit="fraction").tolist() == [0.3, 0.1, 0.2, 0.2]
    assert transform(values, "unit", "min", "ms").tolist() == [0, 1, 0.5, 0.5]


@pytest.mark.parametrize("kind", [HostNoise, lambda seeds: HashedNoise(seeds, "cpu")], ids=["host", "hashed"])
def test_noise_is_each_members_own_and_uniform(kind):
    together = kind([3, 4])
    first, second = together.coarse(4001), together.coarse(5)
    assert first.shape == (2, 4001) and second.shape == (2, 5)
    for member, seed in enumerate([3, 4]):
        alone = kind([seed])
        assert torch.equal(alone.coarse(4001)[0], first[member]) and torch.equal(alone.coarse(5)[0], second[member])
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0, :5], second[0])
    assert first.min() >= 0 and first.max() < 1
    # The mean of 8,002 uniform numbers has a standard error of 0.0032, their shares below a tenth one of 0.0034.
    assert abs(first.mean() - 0.5) < 0.016 and abs((first < 0.1).float().mean() - 0.1) < 0.017
    # So have correlations of neighbours, and of members.
    centred = first - first.mean(1, keepdim=True)
    assert (
        abs((centred[:, 1:] * centred[:, :-1]).mean() * 12) < 0.07 and abs((centred[0] * centred[1]).mean() * 12) < 0.08
    )
    sources = [kind([3, 4]).sources()[1].take(torch.empty(2, 3)) for _ in range(2)]
    assert torch.equal(*sources) and torch.equal(sources[0].flatten(), kind([3, 4]).coarse(6)[1])
    fine = HostNoise([3]).fine(6, 7)
    assert fine.shape == (1, 6, 7) and torch.equal(fine, HostNoise([3]).fine(6, 7))
