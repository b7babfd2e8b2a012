import numpy as np
import torch

from archrank.eval.engine import batching
from archrank.eval.engine.batching import BatchSampler
from archrank.eval.engine.recipes import COMMON
from tests.eval.test_training import SHORT, members

DRAWING = COMMON.model_copy(update={"pairs_per_item": 0.5, "consistency": 0.5})


def test_a_batch_holds_each_members_own_architectures(cells):
    ensemble, positions = members(cells, 3), torch.tensor([[4, 0, 7], [1, 1, 2], [11, 3, 5]])
    other = cells.graphs[torch.arange(len(cells.graphs)).roll(1)]
    batch = BatchSampler(ensemble, [cells.graphs, other], DRAWING, {3: 8})(positions)
    for m, (member, chosen) in enumerate(zip(ensemble, positions)):
        rows = torch.from_numpy(member.train[chosen])
        for view, space in zip(batch.views, (cells.graphs, other)):
            assert torch.equal(view.graphs.ops[m], space.ops[rows]) and torch.equal(view.graphs.adj[m], space.adj[rows])
        assert np.allclose(batch.labels[m], member.labels[chosen])
    assert [(view.noise.shape, view.pairs.shape) for view in batch.views] == [((3, 8), (3, 3, 3))] * 2
    assert not torch.equal(batch.views[0].noise, batch.views[1].noise)


def test_a_sample_takes_nothing_from_the_training(cells):
    ensemble, positions = members(cells, 2), torch.tensor([[0, 1], [2, 3]])
    sampler, other = (BatchSampler(ensemble, [cells.graphs], DRAWING, {2: 8, 5: 20}) for _ in range(2))
    shape = sampler.sample(5).labels.shape
    batch, expected = sampler(positions), other(positions)
    assert shape == (2, 5) and all(map(torch.equal, batch.tensors(), expected.tensors()))


def test_a_batch_is_made_again_from_its_tensors(cells):
    batch = BatchSampler(members(cells, 2), [cells.graphs, cells.graphs], DRAWING, {4: 16}).sample(4)
    doubled = batch.with_tensors([tensor + tensor for tensor in batch.tensors()])
    assert torch.equal(doubled.labels, 2 * batch.labels) and torch.equal(
        doubled.views[1].pairs, 2 * batch.views[1].pairs
    )
    assert torch.equal(doubled.views[0].graphs.ops, 2 * batch.views[0].graphs.ops)
    without = BatchSampler(members(cells, 2), [cells.graphs], COMMON, {4: 0}).sample(4)
    assert without.views[0].noise is None and without.with_tensors(without.tensors()).views[0].pairs is None


def test_positions_are_every_members_batches_however_many_are_sent_at_once(cells, monkeypatch):
    monkeypatch.setattr(batching, "MOST_SENT", 50)
    ensemble = members(cells, 3)
    for recipe in (SHORT, SHORT.model_copy(update={"updates": None, "epochs": 3})):
        expected = zip(*(batching.batches(len(member.train), recipe, member.seed) for member in ensemble))
        sent = batching.positions(ensemble, recipe, torch.device("cpu"))
        assert [step.tolist() for step in sent] == [np.stack(step).tolist() for step in expected]
