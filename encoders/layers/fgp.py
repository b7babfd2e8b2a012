"""What FGP trains its graph network baselines with.

Source: Kim et al., "Learning to Flow from Generative Pretext Tasks for Neural Architecture Encoding", NeurIPS 2025 (kswoo97/LightWeightNAS). Its loss
is not stated, so the pairwise hinge of FlowerFormer, with which it compares, stands in.
"""

from __future__ import annotations

from typing import Any

from archrank.datasets.space import SearchSpace

# dim and epochs by space; others take those of NAS-Bench-101.
PUBLISHED = {"nasbench101": (256, 200), "nasbench201": (128, 500), "nasbench301": (256, 300)}


def config(space: SearchSpace) -> dict[str, Any]:
    """The published size for a space."""
    dim, _ = PUBLISHED.get(space.name, PUBLISHED["nasbench101"])
    return {"dim": dim, "layers": 3, "dropout": 0.1}


def recipe(space: SearchSpace) -> dict[str, Any]:
    """The published training for a space, with a two-layer head."""
    dim, epochs = PUBLISHED.get(space.name, PUBLISHED["nasbench101"])
    return {"loss": "hinge", "margin": 0.5, "labels": "standard", "optimizer": "adamw", "lr": 1e-3, "weight_decay": 1e-6, "epochs": epochs,
            "batch": 16, "schedule": "constant", "head": {"hidden": [dim]}}
