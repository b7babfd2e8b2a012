"""A predictor that is to be trained: whoever trains (a run, an estimate, a check, a measurement, a search, a user's
`Predictor`) makes a `TrainingJob` of what was named, and trains that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders.registry import blocks_of
from archrank.encoders.views import build as build_encoder
from archrank.eval.engine.batching import Member, steps, steps_per_epoch
from archrank.eval.engine.labels import transform
from archrank.eval.engine.network import FixedEncoding, Network, WithSide, parameters
from archrank.eval.engine.pretraining import load_weights
from archrank.eval.engine.recipes import Recipe, RecipeChoice, TunedRecipe, check_hooks, common_recipe, resolve_recipe
from archrank.eval.engine.regressors import block_scales, fit_predict
from archrank.eval.engine.training import Outcome, Progress, Trained, fit, train
from archrank.eval.trials.specs import Spec


@dataclass(frozen=True, eq=False)
class Given:
    """What members start from and see beside graphs; `pretraining.prepare_additions` makes it.

    Args:
        weights: of each member's encoder by name, in their order; None: fresh ones.
        side: [N, K] numbers of every architecture; None: none.
        seconds: what the pre-training of each member took.
        scores: [N] of every architecture, of a predictor that was trained on other tables and is used as it is, in
            place of training; None: members are trained.
        head: weights that their heads start from; None: fresh ones.
    """

    weights: Sequence[dict[str, Tensor]] | None = None
    side: NDArray[np.float64] | None = None
    seconds: Sequence[float] = ()
    scores: NDArray[np.float64] | None = None
    head: dict[str, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A predictor with everything that its training needs; `make_job` makes one.

    Args:
        spec: encoder and head as they were named.
        encoder: the class of a learned encoder, the function of a fixed one.
        config: its options: those that were named, over a published size where the recipe has one.
        recipe: how networks are trained, with the layers of the head.
        space: of the architectures.
        graphs: [N] all architectures that members may name by row, as the encoder is given them.
        members: the networks (or regressors) to train, each with its rows and labels.
        twins: [N] an equivalent of every architecture, where the recipe has a consistency loss.
        verified: whether the encoder is known to be fit for an ensemble (see `training.fit`).
        features: a fixed encoding of all architectures, float [N, F]; see `with_features`.
        given: what a learned encoder is given beside graphs and labels; see `with_given`.
        tuned: what each network chooses of its recipe inside its labels, or None; see `tuning.train_tuned`.
    """

    spec: Spec
    encoder: Any
    config: dict[str, Any]
    recipe: Recipe
    space: SearchSpace
    graphs: Graphs
    members: tuple[Member, ...] = ()
    twins: Graphs | None = None
    verified: bool = True
    features: NDArray[np.float64] | None = None
    given: Given | None = None
    tuned: TunedRecipe | None = None

    @property
    def pairs(self) -> bool:
        """Whether the encoder compares pairs and is trained on them."""
        return "compare" in self.spec.info.hooks

    @property
    def task(self) -> str:
        """What a step asks of the network (see `Network.forward`)."""
        return "pairs" if self.pairs else "score"

    @property
    def steps(self) -> int:
        """Optimiser steps of a member, all of which have equally many."""
        return steps(len(self.members[0].train), self.recipe)

    @property
    def steps_per_epoch(self) -> int:
        """Those of one epoch."""
        return steps_per_epoch(len(self.members[0].train), self.recipe)

    def labels(self, scores: ArrayLike, direction: str = "max", unit: str = "%") -> NDArray[np.float64]:
        """What the loss, or a regressor, sees of training scores [n]; see `labels.transform`."""
        return transform(np.asarray(scores, np.float64), self.recipe.labels, direction, unit)

    def with_members(self, members: Sequence[Member]) -> TrainingJob:
        """The same predictor for these members."""
        return replace(self, members=tuple(members))

    def with_recipe(self, **fields: Any) -> TrainingJob:
        """The same predictor, with other values in fields of its recipe."""
        return replace(self, recipe=self.recipe.model_copy(update=fields))

    def moved(self, space: SearchSpace, graphs: Graphs) -> TrainingJob:
        """The same learned encoder, fresh and without additions, for other architectures [n], of another space."""
        return replace(self, space=space, graphs=graphs, members=(), twins=None, given=Given())

    def with_features(self, features: NDArray[np.float64]) -> TrainingJob:
        """The same fixed encoding, computed: float [N, F]. A network on top of it looks its rows up."""
        if not self.spec.neural:
            return replace(self, features=features)
        graphs, single = self.graphs.plain(), torch.from_numpy(features).float()
        graphs.derive(self._encoding_name, lambda _: single)
        return replace(self, graphs=graphs, features=features)

    def with_given(self, given: Given) -> TrainingJob:
        """The same learned encoder, with what its additions ask for made ready."""
        if given.side is None:
            return replace(self, given=given)
        graphs, single = self.graphs.plain(), torch.from_numpy(given.side).float()
        for space in (graphs, *([self.twins] if self.twins is not None else [])):
            space.derive(self._encoding_name, lambda _: single)
        return replace(self, graphs=graphs, given=given)

    def encode(self, graphs: Graphs) -> Any:
        """What a fixed encoding's function gives for some graphs: [n, F]."""
        return self.encoder(graphs, self.space, **self.config)

    def build(self, member: Member | None = None, probe: Graphs | None = None) -> nn.Module:
        """The encoder of a member, as `training.fit` asks for it: a new instance of a learned one, which needs no
        arguments, or the look-up of a fixed one, scaled by the member's training rows."""
        if self.features is not None and member is not None:
            return FixedEncoding(self._encoding_name, _computed, self.features[member.train])
        made = build_encoder(self.encoder, self.space, self.config)
        if self.given is not None and member is not None:
            if self.given.weights is not None:
                held = zip(self.members, self.given.weights)
                start = next((own for owner, own in held if owner is member), self.given.weights[0])
                made = load_weights(made, start)
            if self.given.side is not None:
                side = FixedEncoding(self._encoding_name, _computed, self.given.side[member.train])
                made = WithSide(made, side)
        return made

    def network(self, probe: Graphs, member: Member | None = None) -> Network:
        """Encoder and head of a member, of weights drawn from torch's generator. probe: a few architectures."""
        return Network(self.build(member), self.recipe.head, probe, self.pairs)

    def scaled(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """`features` as a regressor trained on these rows sees them: parts of different units brought to their
        weights."""
        assert self.features is not None
        factors = self.factors(rows)
        return self.features if factors is None else self.features * factors

    def factors(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """What `features` are multiplied by, float [F], for a regressor trained on these rows; None: by nothing."""
        assert self.features is not None
        blocks = blocks_of(self.encoder, self.features, self.space)
        return block_scales(self.features[rows], blocks) if blocks else None

    def fit(
        self,
        *,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
        one_program: bool = True,
        compiled: bool = False,
    ) -> Trained:
        """Train the members as one ensemble; see `training.fit`."""
        self._check_given()
        return fit(
            self.build,
            self.graphs,
            self.members,
            self.recipe,
            device=device,
            twins=self.twins,
            pairs=self.pairs,
            progress=progress,
            one_program=one_program,
            compiled=compiled,
            verified=self.verified,
            head=self.given.head if self.given else None,
        )

    def train(
        self, *, device: torch.device | str = "cpu", progress: Progress | None = None, compiled: bool = False
    ) -> list[Outcome]:
        """Train the members, networks as one ensemble, regressors one after the other, and predict each one's test
        rows. progress: called with the share that is done."""
        self._check_given()
        if self.given is not None and self.given.scores is not None:
            return self._as_they_are(self.given.scores)
        if self.spec.neural:
            return train(
                self.build,
                self.graphs,
                self.members,
                self.recipe,
                device=device,
                twins=self.twins,
                pairs=self.pairs,
                progress=progress,
                compiled=compiled,
                verified=self.verified,
                head=self.given.head if self.given else None,
            )
        outcomes = []
        for number, member in enumerate(self.members):
            outcomes.append(fit_predict(self.scaled(member.train), member, self.spec.head, self.spec.head_config))
            if progress is not None:
                progress((number + 1) / len(self.members))
        return outcomes

    def _as_they_are(self, scores: NDArray[np.float64]) -> list[Outcome]:
        """The outcome of members whose predictions are there, with the size of a network that would give them."""
        network = self.network(self.graphs[:2].plain())
        size = parameters(network), network.dim
        return [Outcome(scores[member.test], 0.0, 0.0, *size) for member in self.members]

    def _check_given(self) -> None:
        if self.given is None:
            check_without_table(self.spec)

    @property
    def _encoding_name(self) -> str:
        return f"encoding/{self.spec.label}"


def make_job(spec: Spec, choice: RecipeChoice, space: SearchSpace, graphs: Graphs) -> TrainingJob:
    """How a predictor is trained on architectures [N] of a space. The encoder's module is imported.

    Args:
        spec: encoder and head.
        choice: a recipe, or each encoder's own; a fixed encoding is then trained by the common one.
        space: of the architectures.
        graphs: [N] all architectures that members will name by row.

    Raises:
        ArchrankError: the encoder cannot be imported, publishes no recipe of its own, or lacks a hook that the recipe
            needs; or a tuned recipe meets additions.
    """
    encoder, head = spec.info.load(), spec.layers()
    if spec.info.learned:
        recipe, config = resolve_recipe(choice, encoder, spec.config, head, space)
    else:
        recipe, config = common_recipe(choice), dict(spec.config)
        check_hooks(recipe, encoder)
        recipe = recipe if head is None else recipe.model_copy(update={"head": head})
    twins = encoder.twins(graphs) if recipe.consistency else None
    # An ensemble of heads on a fixed encoding holds none of its author's code.
    verified = spec.info.origin == "built-in" or not spec.info.learned
    tuned = choice if isinstance(choice, TunedRecipe) and spec.neural else None
    if tuned and spec.additions:
        raise ArchrankError(
            f"recipe {tuned.name} tunes fresh networks on graphs alone; leave pretext, side and source out"
        )
    return TrainingJob(spec, encoder, config, recipe, space, graphs, twins=twins, verified=verified, tuned=tuned)


def check_without_table(spec: Spec) -> None:
    """ArchrankError for a predictor that is given what only a table has."""
    if spec.additions:
        raise ArchrankError(
            f"{spec.label}: pretext, side and source need the table that `archrank run` has; leave them out here"
        )


def brief_pretraining(spec: Spec) -> Spec:
    """The same encoder, its pre-training, where it has one, cut to two steps: enough to see what comes out of it."""
    if not spec.info.pretrained:
        return spec
    cut = {name: 2 for name in ("updates", "epochs") if name in spec.info.options and name not in spec.config}
    return replace(spec, config=spec.config | cut)


def _computed(_: object) -> torch.Tensor:
    raise RuntimeError("a fixed encoding is computed once for the whole space")
