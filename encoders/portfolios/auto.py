"""archrank's own predictor: several kinds of predictors, weighted by what they say of held-out labels."""

from __future__ import annotations

from typing import Literal

from archrank.datasets.space import SearchSpace
from archrank.encoders.features.base import base
from archrank.encoders.flow.flowerformer import FlowerFormer
from archrank.encoders.gnn.gated_gcn import GatedGCN
from archrank.encoders.gnn.gin import GIN
from archrank.encoders.pretexts.counts import Counts
from archrank.encoders.registry import Part, Portfolio, portfolio

CANONICAL = {"view": "canonical"}
FAST = (Part(base, head="gp", cost=6), Part(base, head="extra_trees", cost=4))
COUNTS = {"pretext": Counts.name}  # type: ignore[misc]  # the decorator makes it a Pretext
SMALL = {"dim": 32, "layers": 3}
GOOD = (*FAST, Part(FlowerFormer, SMALL, cost=55), Part(GIN, CANONICAL | COUNTS, repeats=2, cost=40))
BEST = (
    *GOOD,
    Part(FlowerFormer, SMALL | CANONICAL, cost=55),
    Part(FlowerFormer, SMALL | COUNTS, cost=170),
    Part(GatedGCN, CANONICAL, share=0.5, cost=35),
    Part(base, head="boosting", cost=30),
    Part(FlowerFormer, cost=400),
)


@portfolio("auto", family="portfolio")
def auto(
    space: SearchSpace,
    *,
    preset: Literal["fast", "good", "best"] = "good",
    limit: float | None = None,
    combine: Literal["stacking", "selection", "mean"] = "stacking",
    folds: int = 5,
) -> Portfolio:
    """One predictor made of several kinds, weighted by what each says of labels that were held out from it.

    archrank's own. Every part is fitted once without each fold of the labels and once, or several times, to all of
    them; the networks of a part are members of one ensemble. Predictions are standardised over the labelled
    architectures and weighted by least squares without negative weights on the held-out ones, drawn towards equal
    weights (stacking: Breiman, "Stacked Regressions", Machine Learning 24, 1996). The errors of held-out predictions,
    for which the weights are chosen without their own fold, give every prediction a deviation. Nothing but the labels
    of the budget is used. Architectures that are one computation are held out together.

    preset: `fast` is `base` with a Gaussian process and with extremely randomised trees; `good` adds a FlowerFormer of
    three layers, and GIN on the canonical graph, pre-trained without labels on what `base` counts (the pretext
    `counts`); `best` adds the same FlowerFormer on the canonical graph and after that pretext, GatedGCN on the
    canonical graph, boosting, and a FlowerFormer of the published size (minutes). limit: parts are taken in this order
    while their cost, counted in seconds as measured on one core for 390 labels and 15,625 predictions, stays below it;
    it is no clock, so that the same command gives the same predictor on every machine. combine: `stacking`;
    `selection`, greedy ensemble selection (Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004,
    here by correlation with the labels); or `mean`. folds: of the cross-validation.

    Parts and defaults were chosen on splits 0 to 4 (pretexts and FlowerFormer's graphs: 0 to 2) of digits101,
    TransNAS-Bench-101 micro (class_scene) and NAS-Bench-Graph (Cora), at 78 and 390 labels; scores on NAS-Bench-201
    chose nothing.

    Parameters: those of its networks. Departures: none, there is no paper.
    """
    chosen: list[Part] = []
    refused, spent = {}, 0.0
    for part in {"fast": FAST, "good": GOOD, "best": BEST}[preset]:
        if limit is not None and chosen and spent + part.cost > limit:
            refused[part.label] = f"it costs about {part.cost:g} s, which is above the limit of {limit:g} s"
        else:
            chosen.append(part)
            spent += part.cost
    return Portfolio(tuple(chosen), refused, combine, folds)
