"""On a GPU: the predictor that a CPU trains, and compiled programs that compute the same."""

import numpy as np
import pytest
import torch

from archrank.eval.engine import batching
from archrank.eval.engine.random_numbers import HostNoise
from archrank.eval.trials.job import make_job
from archrank.eval.trials.specs import parse
from tests.encoders.test_members import LEARNED, SHORT
from tests.eval.test_training import members

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


class SameNumbers(HostNoise):
    """Random numbers of a CPU, on another device."""

    def __init__(self, seeds, device):
        super().__init__(seeds)
        self.goal = device

    def fine(self, *shape):
        return super().fine(*shape).to(self.goal)

    def coarse(self, count):
        return super().coarse(count).to(self.goal)


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(cells, name, device, compiled=False):
    job = make_job(parse(name)[0], SHORT, cells.space, cells.graphs).with_members(members(cells, 3))
    return job.train(device=device, compiled=compiled)


def assert_alike(found, expected):
    for one, other in zip(found, expected):
        assert one.problem is None
        assert np.abs(one.predictions - other.predictions).max() <= 1e-9 * np.abs(other.predictions).max()


@pytest.mark.parametrize("name", LEARNED)
def test_it_trains_to_the_predictor_of_a_cpu(cells, name, monkeypatch):
    monkeypatch.setattr(batching, "noise_on", lambda device, seeds: SameNumbers(seeds, device))
    assert_alike(trained(cells, name, DEVICE), trained(cells, name, "cpu"))


@pytest.mark.parametrize("name", ["gin", "gated_gcn", "brp_nas_relation", "tart", "flowerformer"])
def test_compiled_programs_compute_the_same(cells, name):
    fused = trained(cells, name, DEVICE, compiled=True)
    assert fused[0].notes[0].startswith("compiled:")
    assert_alike(fused, trained(cells, name, DEVICE))
