"""Recipes: how a predictor is trained. `common` is the same for every learned encoder; `paper` is each encoder's
published one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from archrank.datasets.errors import ArchrankError, unknown
from archrank.datasets.registry import Registry
from archrank.eval.engine.heads import head_layers
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.labels import LABELS
from archrank.eval.engine.losses import LOSSES


class Recipe(BaseModel):
    """Everything about training but the encoder itself.

    loss: a name of `LOSSES` (`archrank list losses`), and loss_options: its options. margin: that of a loss which has
        one. An encoder with `compare` is trained on its own odds, by `relation` unless the loss is another one of odds.
    labels: a name of `LABELS` (`archrank list labels`): what the loss sees of the training scores.
    pairs_per_item: at most this many pairs per architecture of a batch, drawn at random (None: all pairs).
    difference: weight of L1 between score differences and label differences of randomly matched pairs (NAR-Former's
    sequence-ranking loss).
    consistency: weight of L1 between the scores of an architecture and its twin (needs the encoder's `twins`).
    updates: optimiser steps, whatever the budget, with full batches; or epochs: passes over the training architectures,
        with a last partial batch. Exactly one of the two.
    eps: what Adam adds to the root of its second moment. Gradients that are zero come out as rounding errors (in single
        precision 1e-10 to 1e-7 here), of which an `eps` below them makes whole steps; `common` lies above, so that a
        predictor does not depend on the order of summation.
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
    labels: str = "normal"
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
    def _known_names(self) -> Recipe:
        object.__setattr__(self, "loss_options", LOSSES.find(self.loss).validate(self.loss_options))
        LABELS.find(self.labels)
        return self


@dataclass(frozen=True)
class PublishedRecipe:
    """Stands for each encoder's own recipe: its `paper_recipe`, and the size of its `paper_config`. Fixed encodings are
    trained by `common`."""

    name: str


@dataclass(frozen=True, eq=False)
class TunedRecipe:
    """Stands for a recipe of which some fields are chosen for each network inside its own labels, by cross-validation.

    base: the recipe. candidates: fields to try in place of the base's; `dropout` is an option of the encoder, and tried
    where it has one. The base itself is tried too, and stays where nothing is better. folds: of the labels.
    """

    name: str
    base: Recipe
    candidates: tuple[dict[str, float], ...]
    folds: int = 3


RecipeChoice = Recipe | PublishedRecipe | TunedRecipe


def make_recipe(name: str, fields: dict[str, Any]) -> Recipe:
    """A checked recipe; `head` may be the name of a neural one. ArchrankError names the field that is wrong."""
    fields = dict(fields)
    if misspelt := [str(field) for field in fields if field not in Recipe.model_fields or field == "name"]:
        raise unknown(f"field of recipe '{name}'", misspelt[0], Recipe.model_fields.keys() - {"name"})
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


def variant(name: str, /, **fields: Any) -> Recipe:
    """`common` with other fields; `epochs` replace its updates. ArchrankError names the field that is wrong."""
    base = COMMON.model_dump(exclude={"name"}) | (
        {"updates": None} if "epochs" in fields and "updates" not in fields else {}
    )
    if "loss" in fields:
        base["loss_options"] = {}
    return make_recipe(name, base | fields)


def content_hash(recipe: Recipe) -> str:
    """sha256 over every field but the name, and over the source of a loss or label transform from outside archrank."""
    fields = recipe.model_dump(mode="json", exclude={"name"})
    sources = [entry.source for entry in (LOSSES.find(recipe.loss), LABELS.find(recipe.labels))]
    if any(sources):
        fields["sources"] = sources
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def training_hash(choice: RecipeChoice, head: Head | None) -> str:
    """`content_hash` of how a predictor is trained, for its key: of the recipe with that head (None: its own), or, of
    the published choice, of what a recipe is where an encoder's own source (which the key names too) does not say."""
    recipe = Recipe(name=choice.name) if isinstance(choice, PublishedRecipe) else common_recipe(choice)
    content = content_hash(recipe.model_copy(update={"head": head}) if head is not None else recipe)
    if not isinstance(choice, TunedRecipe):
        return content
    tried = json.dumps([content, choice.candidates, choice.folds], sort_keys=True)
    return hashlib.sha256(tried.encode()).hexdigest()


COMMON = Recipe(
    name="common",
    loss="hinge",
    margin=0.1,
    labels="normal",
    optimizer="adamw",
    lr=2e-3,
    weight_decay=1e-4,
    eps=1e-6,
    updates=1000,
    batch=16,
    warmup=0.1,
    schedule="cosine",
    clip=1.0,
)
"""The same for every learned encoder, so that the encoder is the only difference."""

PAPER = PublishedRecipe("paper")
"""Each encoder's published size, loss, optimiser and schedule."""

QUICK_UPDATES = 40
QUICK = variant("quick", updates=QUICK_UPDATES)
"""`common` with 40 updates, to see that everything runs; its scores are worth nothing."""

SEARCH = variant("search", updates=200)
"""`common` with 200 updates: a search fits hundreds of predictors, each to few labels."""

TUNED = TunedRecipe(
    "tuned", COMMON, ({"lr": 5e-4}, {"lr": 5e-3}, {"weight_decay": 0.1}, {"margin": 0.5}, {"dropout": 0.1})
)
"""`common`, of which each network chooses learning rate, weight decay, margin or dropout inside its labels."""

RECIPES: Registry[RecipeChoice] = Registry(
    "recipe",
    "recipes",
    __name__,
    (Recipe, PublishedRecipe, TunedRecipe),
    ("Recipe", "PublishedRecipe", "TunedRecipe", "variant"),
)


def common_recipe(choice: RecipeChoice) -> Recipe:
    """The recipe by which fixed encodings are trained under a choice, and, unless it is the published one, learned
    encoders too."""
    return choice if isinstance(choice, Recipe) else choice.base if isinstance(choice, TunedRecipe) else COMMON


def resolve_recipe(
    choice: RecipeChoice, encoder: Any, config: dict[str, Any], head: Head | None, space: Any
) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and full configuration of a learned encoder: of the published choice with its published size, `config` on
    top.

    encoder: the class. head: in place of the recipe's; None: the recipe's own. ArchrankError if the encoder publishes
    no recipe, or lacks a hook that the recipe needs.
    """
    published: dict[str, Any] = {}
    if not isinstance(choice, PublishedRecipe):
        recipe = common_recipe(choice)
    elif (hook := getattr(encoder, "paper_recipe", None)) is None:
        raise ArchrankError(
            f"encoder {encoder.__name__} publishes no recipe of its own (no paper_recipe); use --recipe common"
        )
    else:
        recipe = make_recipe(choice.name, hook(space))
        published = dict(encoder.paper_config(space)) if hasattr(encoder, "paper_config") else {}
    check_hooks(recipe, encoder)
    return recipe.model_copy(update={"head": head}) if head is not None else recipe, published | config


def check_hooks(recipe: Recipe, encoder: Any) -> None:
    """ArchrankError where a recipe needs what an encoder does not have: `compare` for a loss of odds, `twins` for a
    consistency loss."""
    for hook, why in (
        ("compare", f"loss {recipe.loss}" if LOSSES[recipe.loss].over == "odds" else ""),
        ("twins", "a consistency loss" if recipe.consistency else ""),
    ):
        if why and not hasattr(encoder, hook):
            raise ArchrankError(
                f"recipe '{recipe.name}' has {why}, which needs an encoder with `{hook}`; {encoder.__name__} has none"
            )
