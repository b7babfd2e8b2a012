"""Autograd functions with a derivative written by hand: against numerical derivatives, plain formulas, and themselves
in a stack."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import vmap

from archrank.encoders.ensembling.fused import row_sums
from archrank.encoders.ensembling.noise import Dropout, Dropped, Vector, noise
from archrank.encoders.layers.attention import ShortMaskedSoftmax, masked_softmax
from archrank.encoders.layers.gru import GRU, Gated
from archrank.encoders.layers.linear import Affine
from archrank.encoders.layers.norm import MaskedBatchNorm, Normalise, RealNodes
from archrank.encoders.layers.short_sweep import ShortSwept, with_nobody
from archrank.encoders.layers.sweep import Sweep, Swept, nodes_first


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def layered(groups, batch, backward, seed=0):
    """Senders bool [B, V, V] that respect the groups; the last architecture has no edge at all."""
    generator = torch.Generator().manual_seed(seed)
    of = torch.cat([torch.full((size,), number) for number, size in enumerate(groups)])
    earlier = of[:, None] < of[None, :] if backward else of[:, None] > of[None, :]
    senders = (torch.rand(batch, len(of), len(of), generator=generator) < 0.6) & earlier
    senders[-1] = False
    return senders


def swept_arguments(backward):
    senders = nodes_first(layered([1, 2, 1], 3, backward), torch.float64)
    return (
        drawn(4, 3, 6),
        senders,
        drawn(2),
        drawn(6, 2, seed=1),
        drawn(6, seed=2),
        [slice(0, 1), slice(1, 3), slice(3, 4)],
        backward,
    )


def short_sweep(half, senders, *rest):
    return ShortSwept.apply(half, with_nobody(senders, rest[-1]), *rest, 60.0)[0]


def rows():
    real = RealNodes(torch.tensor([1, 1, 0, 1, 1, 0, 1], dtype=torch.bool), torch.float64)
    return drawn(7, 3), real.weight, real.lack, real.share, drawn(3), drawn(3, seed=1)


def tables():
    """Rows {1, 3}, {}, {0, 1} of four, padded with 4; and in which of the three each of the four stands, padded with
    3."""
    return drawn(2, 4, 3), torch.tensor([[1, 3], [4, 4], [0, 1]]), torch.tensor([[2, 3], [0, 2], [3, 3], [0, 3]])


CASES = {
    "row sums": (row_sums, tables),
    "normalise": (lambda *a: Normalise.apply(*a)[0], lambda: (*rows(), 1e-5, False, None, 0.0)),
    "normalise and ReLU": (lambda *a: Normalise.apply(*a)[0], lambda: (*rows(), 1e-5, True, None, 0.0)),
    "normalise, ReLU and drop": (
        lambda *a: Normalise.apply(*a)[0],
        lambda: (*rows(), 1e-5, True, drawn(7, 3, seed=2).detach().sigmoid(), 0.4),
    ),
    "gated": (lambda *a: Gated.apply(*a)[0], lambda: (drawn(4, 6), drawn(4, 6, seed=1), drawn(4, 2))),
    "softmax": (
        masked_softmax,
        lambda: (drawn(2, 3, 4), torch.rand(2, 1, 4, generator=torch.Generator().manual_seed(0)) < 0.5),
    ),
    "softmax in few launches": (
        ShortMaskedSoftmax.apply,
        lambda: (drawn(2, 3, 4), torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)) < 0.5),
    ),
    "drop in few launches": (
        lambda *a: Dropped.apply(*a)[0],
        lambda: (drawn(5, 3), drawn(5, 3, seed=2).detach().sigmoid(), 0.4, 1.5),
    ),
    "affine": (Affine.apply, lambda: (drawn(5, 3), drawn(2, 3), drawn(2))),
    "forward sweep": (lambda *a: Swept.apply(*a)[0], lambda: swept_arguments(False)),
    "backward sweep": (lambda *a: Swept.apply(*a)[0], lambda: swept_arguments(True)),
    "short forward sweep": (short_sweep, lambda: swept_arguments(False)),
    "short backward sweep": (short_sweep, lambda: swept_arguments(True)),
}


@pytest.mark.parametrize("case", CASES)
def test_derivative_is_the_numerical_one(case):
    function, arguments = CASES[case]
    assert gradcheck(function, arguments(), check_undefined_grad=False)


@pytest.mark.parametrize("case", CASES)
def test_a_stack_gives_each_its_own(case):
    function, arguments = CASES[case]
    first = arguments()
    second = [
        a.detach().mul(0.7).add(0.1).requires_grad_() if torch.is_tensor(a) and a.requires_grad else a for a in first
    ]
    stacked = [torch.stack([a, b]) if torch.is_tensor(a) else a for a, b in zip(first, second)]
    dims = tuple(0 if torch.is_tensor(a) else None for a in stacked)
    together = vmap(function, in_dims=dims)(*stacked)
    weight = torch.randn(together.shape[1:], dtype=torch.float64)
    leaves = [a for a in (*first, *second) if torch.is_tensor(a) and a.requires_grad]
    gradients = torch.autograd.grad((together * weight).sum(), leaves)
    alone = [function(*first), function(*second)]
    assert torch.allclose(together, torch.stack(alone), atol=1e-12)
    for gradient, expected in zip(gradients, torch.autograd.grad(sum((out * weight).sum() for out in alone), leaves)):
        assert torch.allclose(gradient, expected, atol=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_is_the_plain_formula_to_the_bit(rate):
    x = torch.randn(2000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    numbers = torch.randint(2**16, (2000,), generator=torch.Generator().manual_seed(1)).float() / 2**16
    numbers[:9] = rate  # where it is met exactly, it is kept
    drop = Dropout(rate)
    with noise(Vector(numbers)):
        dropped = drop(x)
    expected = x * ((numbers >= rate).float() / (1 - rate))
    assert torch.equal(dropped, expected)
    assert torch.equal(*(torch.autograd.grad(out.square().sum(), x)[0] for out in (dropped, expected)))


def test_gru_is_torchs():
    ours, theirs = GRU(3, 4).double(), nn.GRUCell(3, 4).double()
    theirs.load_state_dict(ours.state_dict())
    x, hidden = drawn(5, 3), drawn(5, 4)
    assert torch.allclose(ours(x, hidden), theirs(x, hidden), atol=1e-12)
    assert torch.allclose(ours.first(ours.input_half(x)), theirs(x, torch.zeros_like(hidden)), atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_norm_activated_is_norm_then_relu_then_dropout(rate):
    x, mask = drawn(4, 5, 3), torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) < 0.7
    results = []
    for way in (lambda norm, drop: norm.activated(x, mask, drop), lambda norm, drop: drop(torch.relu(norm(x, mask)))):
        norm, drop = MaskedBatchNorm(3).double(), Dropout(rate)
        nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(2))
        with noise(Vector(torch.rand(60, generator=torch.Generator().manual_seed(3)).double())):
            trained = way(norm, drop)
        norm.eval(), drop.eval()
        results.append(
            [
                trained,
                way(norm, drop),
                *torch.autograd.grad(trained.square().sum(), [x, norm.weight, norm.bias]),
                norm.running_var,
            ]
        )
    for ours, plain in zip(*results):
        assert torch.allclose(ours, plain, atol=1e-12)
    assert (results[0][0] == 0).float().mean() > 0.3


def test_norm_is_torchs_on_the_real_rows():
    ours, theirs = MaskedBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    x, mask = drawn(4, 5, 3), torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) < 0.7
    for _ in range(2):
        assert torch.allclose(ours(x, mask)[mask], theirs(x[mask]), atol=1e-12)
    assert torch.allclose(ours.running_var, theirs.running_var)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x.flatten(0, 1)).view(x.shape), atol=1e-12)


def test_softmax_is_torchs_where_it_looks_and_zero_elsewhere():
    scores, allowed = drawn(6, 5) * 200, torch.rand(6, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    allowed[0], allowed[1] = False, True
    weights = masked_softmax(scores, allowed)
    assert not weights[0].any()
    assert torch.allclose(weights[1:], torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)[1:], atol=1e-12)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("groups", [[1, 3, 2], [1] * 40], ids=["small", "long"])
def test_sweep_is_attention_and_a_gru_node_by_node(groups, backward):
    torch.manual_seed(0)
    sweep = Sweep(3, 4).double()
    senders = layered(groups, 5, backward)
    x = drawn(5, sum(groups), 3)
    swept = sweep(x.transpose(0, 1), nodes_first(senders, x.dtype), groups, backward).transpose(0, 1)
    states: dict[tuple[int, int], torch.Tensor] = {}
    nodes = range(sum(groups))
    for graph in range(5):
        for v in reversed(nodes) if backward else nodes:
            heard = [states[graph, u] for u in nodes if senders[graph, v, u]]
            message = torch.zeros(4, dtype=x.dtype)
            if heard:
                stacked = torch.stack(heard)
                message = torch.softmax(stacked @ sweep.key, 0) @ stacked
            states[graph, v] = sweep.gru(x[graph, v], message)
            assert torch.allclose(swept[graph, v], states[graph, v], atol=1e-12)


def test_row_sums_are_sums_of_rows():
    x, table, inverse = tables()
    expected = torch.stack([x[:, [1, 3]].sum(1), 0 * x[:, 0], x[:, [0, 1]].sum(1)], 1)
    assert torch.equal(row_sums(x, table, inverse), expected)
    assert torch.equal(row_sums(x, torch.tensor([[2], [0]]), torch.tensor([[1], [2], [0], [2]])), x[:, [2, 0]])
