"""Training against a plain loop of PyTorch's own parts, one network at a time, its schedule written out and its losses as formulas."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from archrank.eval.engine.batching import Member, batches, derive_seed
from archrank.eval.engine.network import Network
from archrank.eval.engine.recipes import Recipe
from archrank.eval.engine.training import fit, train
from tests.eval.test_training import SHORT, TwoWay, members

STRICT = {"lr": 0.02, "weight_decay": 0.3, "betas": (0.7, 0.95), "eps": 1e-3, "clip": 0.02, "batch": 8}
RECIPES = {
    "updates": Recipe(name="updates", loss="hinge", margin=0.3, optimizer="adamw", updates=12, warmup=0.25, schedule="cosine", **STRICT),
    "epochs": Recipe(name="epochs", loss="hinge", margin=0.3, optimizer="adam", epochs=4, warmup=1, schedule="linear", schedule_per="epoch", ema=0.7, **STRICT),
    "twins": Recipe(name="twins", loss="l1", consistency=0.5, epochs=4, warmup=2, schedule="constant", ema=0.7, **STRICT)}
# Twelve training architectures in batches of 8: two steps an epoch.
FACTORS = {"updates": [1e-6, 1 / 3, 2 / 3, *(0.5 + 0.5 * math.cos(math.pi * step / 9) for step in range(9))],
           "epochs": [1e-6, 1e-6, 1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3],
           "twins": [1e-6, 0.25, 0.5, 0.75, 1, 1, 1, 1]}


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


def plain(cells, member, recipe, factors, twins):
    """The network after its last step, and the one that predicts."""
    torch.manual_seed(derive_seed(member.seed, "weights"))
    network = Network(Normed(cells.space), recipe.head, cells.graphs[:2]).train()
    average = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(network.parameters(), lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factors[min(step, len(factors) - 1)])
    steps = list(batches(len(member.train), recipe, member.seed))
    assert len(steps) == len(factors)
    for chosen in steps:
        rows, y = torch.as_tensor(member.train[chosen]), torch.as_tensor(member.labels[chosen])
        scores = [network(space[rows])[0] for space in ([cells.graphs, twins] if recipe.consistency else [cells.graphs])]
        found = [hinge(recipe.margin, s, y) if recipe.loss == "hinge" else (s - y).abs().mean() for s in scores]
        loss = sum(found) / len(found) + recipe.consistency * (scores[0] - scores[-1]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        assert nn.utils.clip_grad_norm_(network.parameters(), recipe.clip) > recipe.clip
        optimizer.step()
        schedule.step()
        for name, weight in network.named_parameters():
            average[name] = recipe.ema * average[name] + (1 - recipe.ema) * weight.detach()
    predictor = copy.deepcopy(network).eval()
    predictor.load_state_dict(average, strict=False)
    return network, predictor


@pytest.mark.parametrize("name", RECIPES)
def test_members_train_as_a_plain_loop_trains_each(cells, name):
    recipe, twins = RECIPES[name], cells.graphs[torch.arange(len(cells)).roll(1)]
    company = [Member(m.seed, m.train, m.labels, m.test, m.test[:5]) for m in members(cells, 2)]
    given = (lambda member, probe: Normed(cells.space), cells.graphs, company, recipe)
    ensemble, outcomes = fit(*given, twins=twins).ensemble, train(*given, twins=twins)
    for m, member in enumerate(company):
        last, predictor = plain(cells, member, recipe, FACTORS[name], twins)
        for key, tensor in last.state_dict().items():
            torch.testing.assert_close((ensemble.parameters | ensemble.buffers)[key][m], tensor, rtol=1e-8, atol=1e-10, msg=f"{key} of member {m}")
        with torch.no_grad():
            scores, kept = predictor(cells.graphs[member.test])[0], predictor(cells.graphs[member.encode], task="embed")
        assert np.allclose(outcomes[m].predictions, scores, rtol=1e-8) and np.allclose(outcomes[m].encodings, kept, rtol=1e-5, atol=1e-6)


def test_a_member_counts_wins_over_its_own_test_architectures_alone(cells):
    company = [Member(m.seed, m.train, m.labels, m.test[:size], m.test[:size]) for m, size in zip(members(cells, 3), (16, 5, 11))]
    recipe = SHORT.model_copy(update={"loss": "relation"})
    for outcome in train(lambda member, probe: Rated(cells.space), cells.graphs, company, recipe, pairs=True):
        worth = outcome.encodings.astype(float)
        assert np.allclose(outcome.predictions, (1 / (1 + np.exp(worth.T - worth))).sum(1), rtol=1e-5)


def test_one_infinite_loss_is_a_problem_though_all_later_ones_are_finite(cells):
    outcomes = train(lambda member, probe: Loud(cells.space, [-1, 3, 6, 7][member.seed]), cells.graphs, members(cells, 4), SHORT)
    assert [outcome.problem is not None for outcome in outcomes] == [False, True, True, False]
    assert all(np.isfinite(outcome.predictions).all() for outcome in outcomes)
