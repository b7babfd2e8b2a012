"""A user's class below a built-in one has its hooks and options, and predicts what it predicts."""

import numpy as np
import pytest

from archrank.encoders import catalog
from archrank.eval.engine.recipes import PAPER, variant
from archrank.eval.trials.job import make_job
from archrank.eval.trials.specs import parse
from tests.eval.test_training import members

HOOKED = {name: info for name, info in catalog.builtin().items() if info.learned and info.hooks}
SHORT = variant("short", updates=2, batch=4)
TEXT = """
from archrank import encoder
from {module} import {object}


@encoder("below_{name}", family="mine")
class Below({object}):
    \"\"\"It changes nothing.\"\"\"
"""


def subclass(folder, name):
    """The encoder of a user's file with one class, which inherits from a built-in one."""
    info = HOOKED[name]
    file = folder / f"below_{name}.py"
    file.write_text(TEXT.format(module=info.module, object=info.object, name=name))
    return parse(f"{file}:Below", "text")[0]


@pytest.mark.parametrize("name", HOOKED)
def test_its_text_says_the_hooks_and_options_of_its_parent(name, tmp_path):
    parent, child = HOOKED[name], subclass(tmp_path, name).info
    assert (child.hooks, child.options, child.open) == (parent.hooks, parent.options, "")
    catalog.confirm(child)


@pytest.mark.parametrize("name", HOOKED)
def test_it_trains_to_the_same_predictions_by_the_same_recipe(name, cells, tmp_path):
    few = cells.subset(range(24))

    def predictions(spec):
        job = make_job(spec, SHORT, few.space, few.graphs.plain())
        return np.stack([outcome.predictions for outcome in job.with_members(members(few, 2, 8)).train()])

    parent, child = parse(name)[0], subclass(tmp_path, name)
    assert np.array_equal(predictions(child), predictions(parent))
    if "paper_recipe" in parent.info.hooks:
        theirs, ours = (make_job(spec, PAPER, few.space, few.graphs) for spec in (parent, child))
        assert (ours.recipe, ours.config) == (theirs.recipe, theirs.config)
