"""Training against the plain loop of `archrank.eval.engine.reference`, and that against formulas and a schedule written
out."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from archrank.eval.engine.batching import Member, batches
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.reference import train_plainly
from archrank.eval.engine.supervised import supervised
from archrank.eval.engine.training import fit, learning_rate, train
from archrank.eval.engine.update import clip
from tests.eval.test_training import SHORT, TwoWay, members

STRICT = {"lr": 0.02, "weight_decay": 0.3, "betas": (0.7, 0.95), "eps": 1e-3, "clip": 0.02, "batch": 8}
RECIPES = {
    "updates": Recipe(
        name="updates",
        loss="hinge",
        margin=0.3,
        optimizer="adamw",
        updates=12,
        warmup=0.25,
        schedule="cosine",
        **STRICT,
    ),
    "epochs": Recipe(
        name="epochs",
        loss="hinge",
        margin=0.3,
        optimizer="adam",
        epochs=4,
        warmup=1,
        schedule="linear",
        schedule_per="epoch",
        ema=0.7,
        **STRICT,
    ),
    "twins": Recipe(
        name="twins", loss="l1", consistency=0.5, epochs=4, warmup=2, schedule="constant", ema=0.7, **STRICT
    ),
}
# Twelve training architectures in batches of 8: two steps an epoch.
FACTORS = {
    "updates": [1e-6, 1 / 3, 2 / 3, *(0.5 + 0.5 * math.cos(math.pi * step / 9) for step in range(9))],
    "epochs": [1e-6, 1e-6, 1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3],
    "twins": [1e-6, 0.25, 0.5, 0.75, 1, 1, 1, 1],
}


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Normed(nn.Module):
    """An encoder with running statistics."""

    def __init__(self, space, dim=6):
        super().__init__()
        self.embed, self.lin, self.norm = nn.Embedding(len(space.ops), dim), nn.Linear(dim, dim), nn.BatchNorm1d(dim)

    def forward(self, graphs):
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        return self.norm(torch.tanh(self.lin(graphs.adj.to(x.dtype) @ x + x)).sum(-2))


class Rated(nn.Module):
    """An encoder that compares: its embeddings are one number, which is its operations' worth."""

    def __init__(self, space):
        super().__init__()
        self.worth = nn.Embedding(len(space.ops), 1)

    def forward(self, graphs):
        return (self.worth(graphs.ops) * graphs.mask.unsqueeze(-1)).sum(-2)

    def compare(self, a, b):
        return (a - b).squeeze(-1)


class Loud(TwoWay):
    """Adds an infinite constant to its loss, in one of its training steps."""

    def __init__(self, space, step):
        super().__init__(space)
        self.register_buffer("left", torch.tensor(float(step)))

    def auxiliary_loss(self, graphs, embeddings):
        self.left.sub_(1)
        return torch.where(self.left == 0, math.inf, 0.0)


def hinge(margin, s, y):
    i, j = torch.triu_indices(len(y), len(y), 1)
    i, j = i[y[i] != y[j]], j[y[i] != y[j]]
    return (margin - torch.sign(y[i] - y[j]) * (s[i] - s[j])).clamp(min=0).mean()


def test_each_member_is_clipped_by_its_own_norm_whatever_the_shapes_of_weights():
    gradients = [torch.tensor([3.0, 0.3]), torch.tensor([[4.0], [0.4]]), torch.zeros(2, 2, 1)]  # the first of a number
    clip(gradients, 1.0)
    assert torch.allclose(gradients[0], torch.tensor([0.6, 0.3]), atol=1e-5)
    assert torch.allclose(gradients[1], torch.tensor([[0.8], [0.4]]), atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_the_learning_rate_follows_its_schedule(name):
    recipe, steps = RECIPES[name], len(FACTORS[name])
    assert [learning_rate(recipe, step, steps, 2) for step in range(steps)] == pytest.approx(FACTORS[name])


def test_the_reference_takes_the_loss_of_its_formula(cells):
    member, recipe = members(cells, 1)[0], RECIPES["updates"]
    _, before = train_plainly(
        lambda: Normed(cells.space), cells.graphs, member, recipe.model_copy(update={"updates": 1, "lr": 1e-12})
    )
    rows = next(iter(batches(len(member.train), recipe, member.seed)))
    before.train()
    scores = before(cells.graphs[torch.as_tensor(member.train[rows])])[0]
    labels = torch.as_tensor(member.labels[rows])
    torch.testing.assert_close(supervised(recipe, scores[None], labels[None])[0], hinge(recipe.margin, scores, labels))


@pytest.mark.parametrize("name", RECIPES)
def test_members_train_as_a_plain_loop_trains_each(cells, name):
    recipe, twins = RECIPES[name], cells.graphs[torch.arange(len(cells)).roll(1)]
    ensemble_members = [Member(m.seed, m.train, m.labels, m.test, m.test[:5]) for m in members(cells, 2)]
    given = (lambda member, probe: Normed(cells.space), cells.graphs, ensemble_members, recipe)
    ensemble, outcomes = fit(*given, twins=twins).ensemble, train(*given, twins=twins)
    for m, member in enumerate(ensemble_members):
        last, predictor = train_plainly(lambda: Normed(cells.space), cells.graphs, member, recipe, twins=twins)
        for key, tensor in last.state_dict().items():
            torch.testing.assert_close(
                (ensemble.parameters | ensemble.buffers)[key][m],
                tensor,
                rtol=1e-8,
                atol=1e-10,
                msg=f"{key} of member {m}",
            )
        with torch.no_grad():
            scores, encodings = (
                predictor(cells.graphs[member.test])[0],
                predictor(cells.graphs[member.encode], task="embed"),
            )
        assert np.allclose(outcomes[m].predictions, scores, rtol=1e-8) and np.allclose(
            outcomes[m].encodings, encodings, rtol=1e-5, atol=1e-6
        )


def test_members_train_on_pairs_as_a_plain_loop_trains_each(cells):
    recipe = SHORT.model_copy(update={"loss": "relation"})
    ensemble_members = members(cells, 2)
    ensemble = fit(
        lambda member, probe: Rated(cells.space), cells.graphs, ensemble_members, recipe, pairs=True
    ).ensemble
    for m, member in enumerate(ensemble_members):
        last, _ = train_plainly(lambda: Rated(cells.space), cells.graphs, member, recipe, pairs=True)
        torch.testing.assert_close(
            ensemble.parameters["encoder.worth.weight"][m], last.encoder.worth.weight, rtol=1e-8, atol=1e-10
        )


def test_a_member_counts_wins_over_its_own_test_architectures_alone(cells):
    ensemble_members = [
        Member(m.seed, m.train, m.labels, m.test[:size], m.test[:size])
        for m, size in zip(members(cells, 3), (16, 5, 11))
    ]
    recipe = SHORT.model_copy(update={"loss": "relation"})
    for outcome in train(lambda member, probe: Rated(cells.space), cells.graphs, ensemble_members, recipe, pairs=True):
        worth = outcome.encodings.astype(float)
        assert np.allclose(outcome.predictions, (1 / (1 + np.exp(worth.T - worth))).sum(1), rtol=1e-5)


def test_one_infinite_loss_is_a_problem_though_all_later_ones_are_finite(cells):
    outcomes = train(
        lambda member, probe: Loud(cells.space, [-1, 3, 6, 7][member.seed]), cells.graphs, members(cells, 4), SHORT
    )
    assert [outcome.problem is not None for outcome in outcomes] == [False, True, True, False]
    assert all(np.isfinite(outcome.predictions).all() for outcome in outcomes)
