"""Encoders as people write them, in an ensemble: each member equals itself alone, or is told why it cannot be."""

import numpy as np
import pytest
import torch
from torch import nn

from archrank.datasets.errors import ArchrankError
from archrank.encoders.ensembling.noise import Dropout
from archrank.eval.engine.network import Network
from archrank.eval.engine.recipes import COMMON
from archrank.eval.engine.training import train
from archrank.eval.engine.verify import refuse_hidden_weights, seeding
from tests.eval.test_training import members

SHORT = COMMON.model_copy(update={"updates": 4, "batch": 8})


class Sums(nn.Module):
    """Sums of node states after one step along the edges; what follows differs."""

    def __init__(self, space, dim=6):
        super().__init__()
        self.embed, self.lin, self.dim = nn.Embedding(len(space.ops), dim), nn.Linear(dim, dim), dim

    def states(self, graphs):
        x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)
        return torch.tanh(self.lin(graphs.adj.to(x.dtype) @ x + x)) * graphs.mask.unsqueeze(-1)

    def forward(self, graphs):
        return self.changed(self.states(graphs).sum(-2))

    def changed(self, x):
        return x


class Lists(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.held = {"a": [torch.randn(self.dim, self.dim)]}

    def changed(self, x):
        return x @ self.held["a"][0]


class Floats(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.scale = 0.5 + float(torch.rand(()))

    def changed(self, x):
        return x * self.scale


class Generators(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.own = torch.Generator().manual_seed(int(torch.randint(1 << 30, ())))

    def changed(self, x):
        return x + 0.3 * torch.randn(x.shape, generator=self.own) if self.training else x


class Anneals(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.calls = 0

    def changed(self, x):
        self.calls += self.training
        return x / (1 + self.calls)


class AnnealsLater(Anneals):
    def changed(self, x):
        self.calls += self.training
        return x * (0.5 if self.calls > 2 else 1.0)


class Flat(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.drop = nn.Dropout(0.4)

    def forward(self, graphs):
        x = self.drop(self.states(graphs)[graphs.mask])
        owner = graphs.mask.nonzero()[:, 0]
        return torch.zeros(len(graphs), self.dim).index_add(0, owner, x)


class OtherPathInEvaluation(Sums):
    def changed(self, x):
        return x if self.training or bool((x > -10).all()) else -x


class RefusesSmallBatches(Sums):
    def forward(self, graphs):
        x = super().forward(graphs)
        return x if len(x) != 4 or bool((x > -10).all()) else -x


class RefusesWhatItDidNotSee(Sums):
    """Looks at its data from the third training batch on, where a parameter says so."""

    calls = 0

    def changed(self, x):
        type(self).calls += self.training
        return x if type(self).calls < 40 or bool((x > -10).all()) else -x


class Closure(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.weight = nn.Parameter(torch.randn(self.dim, self.dim))
        self.project = lambda x, w=self.weight: x @ w

    def changed(self, x):
        return self.project(x)


class Parameters(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.first = nn.Parameter(torch.randn(self.dim, self.dim))
        self.all = [self.first]

    def changed(self, x):
        return x @ self.all[0]


KINDS = {
    Sums: None,
    Lists: "outside its parameters and buffers",
    Floats: "outside its parameters and buffers",
    Generators: "random",
    Anneals: "it keeps self.calls",
    AnnealsLater: "it keeps self.calls",
    Flat: "dynamic shape",
    OtherPathInEvaluation: "data-dependent",
    RefusesSmallBatches: "data-dependent",
    Closure: "outside its parameters and buffers",
    Parameters: "outside its parameters and buffers",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_equals_itself_alone_whatever_it_keeps(cells, kind):
    recipe = SHORT.model_copy(update={"updates": None, "epochs": 2})  # batches of 8 and 4

    def trained(ensemble_members):
        return train(lambda m, p: kind(cells.space), cells.graphs, ensemble_members, recipe, verified=False)

    together, alone = trained(members(cells, 3)), [trained(members(cells, 3)[m : m + 1])[0] for m in (0, 2)]
    for m, single in zip((0, 2), alone):
        assert np.allclose(together[m].predictions, single.predictions, rtol=1e-4, atol=1e-6)
        assert together[m].notes == single.notes
    assert not np.allclose(together[0].predictions, together[2].predictions, rtol=1e-3)
    if KINDS[kind] is None:
        assert not together[0].notes
    else:
        (note,) = together[0].notes
        assert note.startswith("trained sequentially: ") and KINDS[kind] in note


def test_what_vmap_refuses_on_a_later_batch_trains_from_the_start_as_networks_of_their_own(cells):
    RefusesWhatItDidNotSee.calls = 30
    ensemble_members = members(cells, 2)
    late = train(
        lambda m, p: RefusesWhatItDidNotSee(cells.space),
        cells.graphs,
        ensemble_members,
        SHORT.model_copy(update={"updates": 30}),
    )
    plain = train(
        lambda m, p: Sums(cells.space), cells.graphs, ensemble_members, SHORT.model_copy(update={"updates": 30})
    )
    assert "trained sequentially" in late[0].notes[0] and "data-dependent" in late[0].notes[0]
    for one, other in zip(late, plain):
        assert np.allclose(one.predictions, other.predictions, rtol=1e-3, atol=1e-5)


def test_dropout_on_flat_graphs_draws_what_padded_graphs_would(cells):
    """The same numbers whichever way members are called, so that how they train does not depend on who else does."""

    class Drops(Sums):
        def __init__(self, space):
            super().__init__(space)
            self.drop, self.again = nn.Dropout(0.4), Dropout(0.2)

        def changed(self, x):
            return self.again(self.drop(x))

    both = [
        train(lambda m, p: Drops(cells.space), cells.graphs, members(cells, 2), SHORT, one_program=way)
        for way in (True, False)
    ]
    for one, other in zip(*both):
        assert np.allclose(one.predictions, other.predictions, rtol=1e-4, atol=1e-6)


def layers_in(container):
    class Hidden(Sums):
        def __init__(self, space):
            super().__init__(space)
            self.stack = container([nn.Linear(self.dim, self.dim), nn.Linear(self.dim, self.dim)])

        def changed(self, x):
            for layer in self.stack.values() if isinstance(self.stack, dict) else self.stack:
                x = torch.relu(layer(x)) + x
            return x

    return Hidden


@pytest.mark.parametrize(
    ("container", "said"),
    [(list, "self.stack of Hidden, a list,"), (tuple, "a tuple"), (lambda a: dict(zip("ab", a)), "a dict")],
)
def test_layers_that_nothing_trains_are_named_and_refused(cells, container, said):
    kind = layers_in(container)
    with pytest.raises(ArchrankError, match=f"{said}.* holds weights that PyTorch does not see: .*nn.ModuleList"):
        train(lambda m, p: kind(cells.space), cells.graphs, members(cells, 1), SHORT, verified=False)


def test_registered_layers_are_no_hidden_weights(cells):
    for kind in (layers_in(nn.ModuleList), Sums, Parameters):
        refuse_hidden_weights(Network(kind(cells.space), COMMON.head, cells.graphs[:2]), cells.graphs[:2])


class FromNumpy(Sums):
    def __init__(self, space):
        super().__init__(space)
        self.table = nn.Parameter(torch.from_numpy(np.random.normal(0, 1, (1, self.dim)).astype("float32")))

    def changed(self, x):
        return x * self.table


class FromItsOwn(FromNumpy):
    def __init__(self, space):
        Sums.__init__(self, space)
        self.table = nn.Parameter(
            torch.from_numpy(np.random.default_rng().normal(0, 1, (1, self.dim)).astype("float32"))
        )


class Seeded(Sums):
    def __init__(self, space):
        torch.manual_seed(42)
        super().__init__(space)


class NoisyByNumpy(Sums):
    def changed(self, x):
        return x * float(np.random.uniform(0.9, 1.1)) if self.training else x


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FromNumpy, "torch's seed, they come from numpy's generator"),
        (FromItsOwn, "come from a generator of its own"),
        (Seeded, "every seed starts from the same weights"),
        (NoisyByNumpy, "draws from numpy's generator, which does not follow the seed"),
    ],
)
def test_randomness_that_does_not_follow_the_seed_is_noted(cells, kind, said):
    notes = train(lambda m, p: kind(cells.space), cells.graphs, members(cells, 1), SHORT, verified=False)[0].notes
    assert any(said in note for note in notes)


def test_seeding_says_nothing_of_weights_that_follow_the_seed(cells):
    def make(seed):
        torch.manual_seed(seed)
        return Network(Sums(cells.space), COMMON.head, cells.graphs[:2])

    assert seeding(make) is None
