"""Losses: each against its formula written out for one list, and a recipe's choice of them."""

import itertools
import math
import subprocess
import sys

import pytest
import torch

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.losses import LOSSES
from archrank.eval.engine.losses.pairwise import pair_mask
from archrank.eval.engine.recipes import COMMON, make_recipe
from archrank.eval.engine.supervised import compared, supervised

SCORES = [0.3, -1.2, 0.9, 2.0, 0.1]
LABELS = [1.0, -0.5, 1.0, 0.2, -2.0]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(truth, odds):
    return -truth * math.log(sigmoid(odds)) - (1 - truth) * math.log(sigmoid(-odds))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def pairs():
    """(s_i - s_j, y_i - y_j) of every pair i < j."""
    return [(SCORES[i] - SCORES[j], LABELS[i] - LABELS[j]) for i, j in itertools.combinations(range(len(SCORES)), 2)]


def softmax(values):
    total = sum(map(math.exp, values))
    return [math.exp(value) / total for value in values]


def sign(x):
    return (x > 0) - (x < 0)


def plackett_luce():
    """-log of the chance to draw the true order one by one, without replacement, in proportion to exp(score), per
    place."""
    order = sorted(range(len(LABELS)), key=lambda i: -LABELS[i])
    chance = 1.0
    for place, best in enumerate(order):
        chance *= math.exp(SCORES[best]) / sum(math.exp(SCORES[i]) for i in order[place:])
    return -math.log(chance) / len(order)


FORMULAS = {
    ("mse", ()): lambda: mean((s - y) ** 2 for s, y in zip(SCORES, LABELS)),
    ("l1", ()): lambda: mean(abs(s - y) for s, y in zip(SCORES, LABELS)),
    ("hinge", (("margin", 0.7),)): lambda: mean(max(0, 0.7 - sign(y) * s) for s, y in pairs() if y),
    ("bpr", ()): lambda: mean(math.log(1 + math.exp(-sign(y) * s)) for s, y in pairs() if y),
    ("bce", ()): lambda: mean(cross_entropy((sign(y) + 1) / 2, s) for s, y in pairs()),
    ("bce", (("soft", True),)): lambda: mean(cross_entropy(sigmoid(y), s) for s, y in pairs()),
    ("listnet", ()): lambda: -sum(p * math.log(q) for p, q in zip(softmax(LABELS), softmax(SCORES))),
    ("listnet", (("temperature", 0.5),)): lambda: (
        -sum(p * math.log(q) for p, q in zip(softmax([2 * y for y in LABELS]), softmax(SCORES)))
    ),
    ("listmle", ()): plackett_luce,
}


@pytest.mark.parametrize("name, options", FORMULAS)
def test_a_loss_is_its_formula_for_every_member(name, options):
    recipe = make_recipe("test", {"loss": name, "loss_options": dict(options), "updates": 1})
    scores = torch.tensor([SCORES, LABELS], dtype=torch.float64)
    actual = supervised(recipe, scores, torch.tensor([LABELS, LABELS], dtype=torch.float64))
    assert actual.shape == (2,) and actual[0].item() == pytest.approx(FORMULAS[name, options](), abs=1e-12)


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].over != "odds"])
def test_a_loss_falls_when_scores_agree_and_pulls_them_there(name):
    recipe = COMMON.model_copy(update={"loss": name})
    torch.manual_seed(0)
    labels = torch.randn(3, 9, dtype=torch.float64)
    assert (supervised(recipe, labels, labels) < supervised(recipe, -labels, labels)).all()
    scores = torch.zeros(3, 9, dtype=torch.float64, requires_grad=True)
    supervised(recipe, scores, labels).sum().backward()
    assert ((scores.grad * labels).sum(-1) < 0).all()


def test_equal_labels_are_pairs_where_a_loss_asks_for_them():
    labels = torch.tensor([[1.0, 1.0, 0.0]])
    assert pair_mask(labels, None, None).sum() == 2 and pair_mask(labels, None, None, ties=True).sum() == 3
    assert pair_mask(labels, 0.7, torch.rand(1, 3, 3), ties=True).sum() == 2


def test_an_encoder_that_compares_trains_on_odds_whatever_the_loss():
    odds, labels = torch.randn(2, 4, 4), torch.randn(2, 4)
    relation = COMMON.model_copy(update={"loss": "relation"})
    assert torch.equal(compared(COMMON, odds, labels), compared(relation, odds, labels))
    with pytest.raises(ValueError, match="not a loss of scores"):
        supervised(relation, odds[0], labels)


def test_a_recipe_knows_its_loss():
    with pytest.raises(ArchrankError, match="unknown loss 'listnett': did you mean listnet"):
        make_recipe("test", {"loss": "listnett", "updates": 1})
    with pytest.raises(ArchrankError, match="loss listnet: option temperature='warm'"):
        make_recipe("test", {"loss": "listnet", "loss_options": {"temperature": "warm"}, "updates": 1})
    assert make_recipe("test", {"loss": "listnet", "loss_options": {"temperature": 1}, "updates": 1}).loss_options == {}


def test_listing_losses_imports_no_torch():
    code = (
        "import sys\nfrom archrank.eval.engine.losses import LOSSES\nprint(*[e.summary for e in LOSSES.entries.values()], sep='\\n')\n"
        "assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "ListMLE" in done.stdout and all(done.stdout.splitlines()), done.stderr
