"""The number of parameters as a ranking: what every encoder has to beat."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from archrank.datasets.costs import COSTS
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.layers.complexity import cost
from archrank.encoders.registry import encoding


@encoding("parameters", family="baseline", ranks=True, columns=COSTS)
def parameters(
    graphs: Graphs,
    space: SearchSpace,
    *,
    metric: Literal["parameters", "flops"] = "parameters",
    better: Literal["larger", "smaller"] = "larger",
) -> Tensor:
    """The more parameters, the better: a ranking that needs neither training nor labels.

    No paper of its own: it is the baseline of zero-cost proxies (White et al., "A Deeper Look at Zero-Cost Proxies for
    Lightweight NAS", ICLR Blog Track 2022; Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS 2022), and an encoder
    that needs labels should beat it. The report says which ones do not.

    The count is the benchmark's own column `parameters` (or `flops`). A table without that column, or with missing
    values in it, gets a stand-in added up from the names of the operations (`archrank.encoders.layers.complexity`),
    which follows the true count exactly on NAS-Bench-201 and only loosely where channels are divided among branches.

    metric: `parameters`, or `flops`. better: `larger`, or `smaller` for targets that are costs themselves, such as a
    latency. The number of labels changes nothing, and ties stay ties. With a head (`parameters+ridge`) it is one
    feature, and the labels decide which way round it ranks.

    Departures: none. Returns float64 [B, 1].
    """
    count = cost(graphs, space, metric)
    return (count if better == "larger" else -count).unsqueeze(-1)
