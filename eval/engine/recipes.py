"""Recipes: how a predictor is trained. `common` is the same for every learned encoder; `paper` is each encoder's published one; `quick` is
`common` with few updates, for a look at whether everything runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from archrank.datasets.errors import ArchrankError
from archrank.eval.engine.heads import head_layers
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.losses import LOSSES


class Recipe(BaseModel):
    """Everything about training but the encoder itself.

    loss: a name of `LOSSES` (`archrank list losses`), and loss_options: its options. margin: that of a loss which has one. An encoder with `compare`
        is trained on its own odds, by `relation` unless the loss is another one of odds.
    labels: what the loss sees of the training scores (turned so that higher is better): `normal` scores of their ranks, `standard`ised,
        `raw`, or `unit` (percent divided by 100).
    pairs_per_item: at most this many pairs per architecture of a batch, drawn at random (None: all pairs).
    difference: weight of L1 between score differences and label differences of randomly matched pairs (NAR-Former's sequence-ranking loss).
    consistency: weight of L1 between the scores of an architecture and its twin (needs the encoder's `twins`).
    updates: optimiser steps, whatever the budget, with full batches; or epochs: passes over the training architectures, with a last partial
        batch. Exactly one of the two.
    eps: what Adam adds to the root of its second moment. Gradients that are zero come out as rounding errors (in single precision 1e-10 to 1e-7 here), of
        which an `eps` below them makes whole steps; `common` lies above, so that a predictor does not depend on the order of summation.
    warmup: epochs, or with `updates` a share of them. schedule: learning rate after the warm-up; per step or per epoch.
    ema: decay of an exponential moving average of the weights, which is then what predicts (0: none).
    The weights that predict are those of the last step: no protocol's budget holds labels to choose others by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    loss: str = "hinge"
    loss_options: dict[str, Any] = {}
    margin: float = Field(default=0.1, ge=0)
    pairs_per_item: float | None = None
    difference: float = 0.0
    consistency: float = 0.0
    labels: Literal["normal", "standard", "raw", "unit"] = "normal"
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    updates: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    batch: int = Field(default=32, ge=2)
    warmup: float = Field(default=0.0, ge=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    schedule_per: Literal["step", "epoch"] = "step"
    clip: float | None = None
    head: Head = Head()
    ema: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _known_loss(self) -> Recipe:
        object.__setattr__(self, "loss_options", LOSSES.find(self.loss).validate(self.loss_options))
        return self


COMMON = Recipe(name="common", loss="hinge", margin=0.1, labels="normal", optimizer="adamw", lr=2e-3, weight_decay=1e-4, eps=1e-6, updates=1000,
                batch=16, warmup=0.1, schedule="cosine", clip=1.0)
# `common` cut short, to see that everything runs; its scores are worth nothing.
QUICK_UPDATES = 40
RECIPES = ("common", "paper", "quick")


def make_recipe(name: str, fields: dict[str, Any]) -> Recipe:
    """A checked recipe from an encoder's `paper_recipe`; `head` may be a name. ArchrankError names the field that is wrong."""
    fields = dict(fields)
    if isinstance(fields.get("head"), str):
        fields["head"] = head_layers(fields["head"])
    try:
        recipe = Recipe(name=name, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArchrankError(f"recipe '{name}': {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if (recipe.updates is None) == (recipe.epochs is None):
        raise ArchrankError(f"recipe '{name}': give either updates or epochs")
    return recipe


def shared(name: str) -> Recipe:
    """The recipe by which fixed encodings are trained under `name`, and, unless it is `paper`, learned encoders too."""
    return COMMON.model_copy(update={"name": name, "updates": QUICK_UPDATES}) if name == "quick" else COMMON


def resolve(name: str, encoder: Any, space: Any) -> Recipe:
    """The recipe called `name` for an encoder class on a space. ArchrankError if the encoder publishes none."""
    if name != "paper" and name in RECIPES:
        return shared(name)
    if name != "paper":
        raise ArchrankError(f"unknown recipe '{name}': known: {', '.join(RECIPES)}")
    hook = getattr(encoder, "paper_recipe", None)
    if hook is None:
        raise ArchrankError(f"encoder {encoder.__name__} publishes no recipe of its own (no paper_recipe); use --recipe common")
    return make_recipe("paper", hook(space))


def prescribed(name: str, encoder: Any, config: dict[str, Any], head: Head | None, space: Any) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and full configuration of a learned encoder: under `paper` its published size, with `config` on top.

    head: in place of the recipe's; None: the recipe's own.
    """
    recipe = resolve(name, encoder, space)
    published = dict(encoder.paper_config(space)) if name == "paper" and hasattr(encoder, "paper_config") else {}
    return recipe.model_copy(update={"head": head}) if head is not None else recipe, published | config
