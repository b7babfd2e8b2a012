"""One job for whoever trains: the same encoder, options, recipe and labels, however it is asked for."""

import numpy as np
import pytest

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.batching import Member, batches
from archrank.eval.engine.heads import head_layers
from archrank.eval.engine.recipes import COMMON, PAPER, variant
from archrank.eval.trials.job import brief_pretraining, make_job
from archrank.eval.trials.specs import parse

ROWS = np.arange(17)


def job_of(text, cells, choice=COMMON):
    return make_job(parse(text)[0], choice, cells.space, cells.graphs)


def test_the_published_recipe_brings_its_size_and_options_that_are_named_go_before_it(cells):
    published, common = job_of("gcn[layers=2]", cells, PAPER), job_of("gcn[layers=2]", cells)
    assert published.recipe.name == "paper" and published.config["layers"] == 2 and published.config.keys() > {"layers"}
    assert common.recipe == COMMON and common.config == {"layers": 2}
    assert job_of("path", cells, PAPER).recipe.name == "common"


def test_the_head_that_is_named_is_in_the_recipe(cells):
    assert job_of("gcn+mlp", cells).recipe.head == head_layers("mlp") != job_of("gcn", cells).recipe.head
    assert job_of("path+gp", cells).recipe == COMMON


@pytest.mark.parametrize("choice", [variant("short", updates=5), variant("short", epochs=3, batch=4)])
def test_it_says_how_many_steps_training_makes(cells, choice):
    job = job_of("gin", cells, choice).with_members([Member(0, ROWS, np.zeros(17), ROWS)])
    assert job.steps == len([*batches(17, choice, 0)])
    heard = []
    job.with_recipe(head=head_layers("linear")).fit(progress=heard.append)
    assert heard[-1] == (job.steps - 1) // 10 * 10 / job.steps


def test_what_a_recipe_needs_of_the_encoder_is_there_or_one_line_says_so(cells):
    twins = variant("mine", consistency=0.5)
    job = job_of("nar_former", cells, twins)
    assert len(job.twins) == len(cells.graphs) and job_of("nar_former", cells).twins is None
    assert job_of("brp_nas_relation", cells).task == "pairs"
    for text in ("gcn", "path", "path+gp"):
        with pytest.raises(ArchrankError, match="needs an encoder with `twins`"):
            job_of(text, cells, twins)


def test_a_fixed_encoding_trains_on_what_was_computed_for_all(cells):
    job = job_of("bag_of_ops", cells, variant("short", updates=3))
    features = np.asarray(job.encode(cells.graphs.plain()), np.float64)
    member = Member(0, ROWS, job.labels(cells.target()[ROWS]), ROWS)
    network = job.with_features(features).build(member)
    assert np.allclose(network.mean, features[ROWS].mean(0))
    assert job.with_features(features).with_members([member]).train()[0].predictions.shape == (17,)


def test_a_pretraining_is_cut_where_nobody_says_how_long_it_is():
    assert brief_pretraining(parse("arch2vec")[0]).config["updates"] == 2
    assert brief_pretraining(parse("arch2vec[updates=7]")[0]).config["updates"] == 7
    assert brief_pretraining(parse("path")[0]).config == {}
