"""Every learned encoder's ensemble member is the predictor that it would have been alone."""

import numpy as np
import pytest
import torch

from archrank.encoders import catalog
from archrank.eval.engine.recipes import COMMON
from archrank.eval.trials.job import make_job
from archrank.eval.trials.specs import parse
from tests.encoders.shallow import shallow
from tests.eval.test_training import members

CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}
# Single precision rounds otherwise on each processor, and updates amplify it; double precision tells a wrong member.
ROUNDED = {("gated_gcn", torch.float32): 2e-4}  # 1.04e-4 on an AMD EPYC
LEARNED = [name for name in catalog.builtin() if parse(name)[0].info.learned]
SHORT = COMMON.model_copy(update={"updates": 6, "batch": 8})


@pytest.fixture
def precision(request):
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], indirect=True, ids=str)
@pytest.mark.parametrize("name", LEARNED)
def test_a_member_trains_to_the_same_predictor_alone(cells, name, precision):
    job = make_job(parse(shallow(name))[0], SHORT, cells.space, cells.graphs)

    def trained(ensemble_members):
        return [outcome.predictions for outcome in job.with_members(ensemble_members).train()]

    ensemble_members = members(cells, 3)
    together, alone = trained(ensemble_members), trained(ensemble_members[1:2])[0]
    close = ROUNDED.get((name, precision), CLOSE[precision])
    assert np.abs(together[1] - alone).max() <= close * np.abs(alone).max()
    assert np.abs(together[1] - together[0]).max() > 0.05 * np.abs(alone).max()
