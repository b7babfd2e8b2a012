"""What FGP trains its graph network baselines with.

Source: Kim et al., "Learning to Flow from Generative Pretext Tasks for Neural Architecture Encoding", NeurIPS 2025
(kswoo97/LightWeightNAS): the pairwise hinge with the margin, and the clipping of gradients, of FlowerFormer's
configuration for the space (its cap on pairs is above what a batch of 16 has). It keeps the weights of the epoch that
is best on 40 validation labels; here those of the last.
"""

from __future__ import annotations

from typing import Any

from archrank.datasets.space import SearchSpace

# dim, epochs and margin by space; others take those of NAS-Bench-101.
PUBLISHED = {"nasbench101": (256, 200, 0.5), "nasbench201": (128, 500, 0.5), "nasbench301": (256, 300, 0.1)}


def config(space: SearchSpace) -> dict[str, Any]:
    """The published size for a space."""
    dim, _, _ = PUBLISHED.get(space.name, PUBLISHED["nasbench101"])
    return {"dim": dim, "layers": 3, "dropout": 0.1}


def recipe(space: SearchSpace) -> dict[str, Any]:
    """The published training for a space, with a two-layer head."""
    dim, epochs, margin = PUBLISHED.get(space.name, PUBLISHED["nasbench101"])
    return {
        "loss": "hinge",
        "margin": margin,
        "labels": "standard",
        "optimizer": "adamw",
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "epochs": epochs,
        "batch": 16,
        "schedule": "constant",
        "clip": 1.0,
        "head": {"hidden": [dim]},
    }
