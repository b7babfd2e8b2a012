"""Tables with columns made to measure, and what an encoder is given on them."""

from dataclasses import replace

from archrank.datasets import make_split
from archrank.eval.engine.recipes import COMMON
from archrank.eval.trials.additions import check_additions
from archrank.eval.trials.job import make_job
from archrank.eval.trials.pretraining import prepare_additions
from archrank.eval.trials.specs import parse


def with_columns(benchmark, name="cells", **columns):
    """The benchmark with other or further columns."""
    cards = {column: {"unit": "", "description": f"{column}, measured"} for column in columns}
    if "proxy" in cards:
        cards["proxy"]["proxy"] = True
    card = benchmark.card.with_metrics(cards).model_copy(update={"name": name, "content": ""})
    scores = benchmark.scores.assign(**columns)
    return replace(benchmark, name=name, card=card, scores=scores)


def given(encoder, benchmark, folder, target="quality", seeds=(0,)):
    spec = parse(encoder)[0]
    check_additions(spec.additions, spec.info, spec.config, benchmark, target)
    splits = [make_split(benchmark, "clean", seed, target) for seed in seeds]
    job = make_job(spec, COMMON, benchmark.space, benchmark.graphs)
    return prepare_additions(job, benchmark, target, splits, folder, "cpu")
