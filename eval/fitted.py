"""Fitted predictors: members of different seeds, and what they say together of architectures they have never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from archrank.datasets.errors import ArchrankError
from archrank.datasets.graphs import BASE, Graphs
from archrank.encoders.registry import blocks_of
from archrank.eval.engine.batching import Member
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.heads import Fitted, FittedWithStd
from archrank.eval.engine.heads.layers import Head
from archrank.eval.engine.predicting import predict, prepared
from archrank.eval.engine.regressors import block_scales, checked_features, fit_regressor, same_features
from archrank.eval.engine.training import Progress
from archrank.eval.trials.job import TrainingJob

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opinions:
    """What M members say of n architectures: scores [M, n], higher is better, and standard deviations [M, n] of them
    where the members know how sure they are."""

    scores: Floats
    std: Floats | None = None

    def together(self) -> tuple[Floats, Floats | None]:
        """The mean score [n], and its standard deviation [n] by the law of total variance: of the members and between
        them; None where one member has none."""
        count = len(self.scores)
        if self.std is None and count == 1:
            return self.scores[0], None
        within = np.zeros(self.scores.shape[1]) if self.std is None else (self.std**2).mean(0)
        between = self.scores.var(0, ddof=1) if count > 1 else 0.0
        return self.scores.mean(0), np.sqrt(within + between)


class Model(Protocol):
    """Members that are fitted."""

    def opinions(self, graphs: Graphs) -> Opinions:
        """What the members say of graphs [n]."""

    def encode(self, graphs: Graphs) -> NDArray[np.float32]:
        """Encodings [n, dim] that the first member's head sees."""


class Networks:
    """Trained networks of one shape.

    ensemble: M of them, in evaluation mode. weights: their parameters where they are not the ensemble's own. pairs:
    whether they compare pairs. layers: of their head. spread: mean and standard deviation of each member's scores over
    the training architectures, float [2, M]: losses of order leave a network's scale open, so that several are brought
    to one.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        layers: Head,
        pairs: bool,
        weights: dict[str, torch.Tensor] | None = None,
        spread: Floats | None = None,
    ) -> None:
        self.ensemble, self.layers, self.pairs, self.weights, self.spread = ensemble, layers, pairs, weights, spread

    @classmethod
    def fit(cls, job: TrainingJob, device: str, progress: Progress | None = None) -> Networks:
        """Train the members of a job. ArchrankError if one of them fails."""
        trained = job.fit(device=device, progress=progress)
        if not bool(trained.finite.all()):
            raise ArchrankError(f"{job.spec.label}: the loss stopped being finite during training; try another recipe")
        networks = cls(trained.ensemble, job.recipe.head, trained.pairs, trained.average)
        if len(job.members) > 1 and not trained.pairs:
            scores = networks.scores(job.graphs, job.members[0].train)
            networks.spread = np.stack([scores.mean(1), np.maximum(scores.std(1), 1e-12)])
        return networks

    def scores(self, graphs: Graphs, rows: NDArray[np.int64] | None = None) -> Floats:
        """[M, n] as each network gives them; with `pairs` Borda counts among these architectures."""
        rows = np.arange(len(graphs)) if rows is None else rows
        known = prepared(self.ensemble, graphs)
        return np.stack(predict(self.ensemble, known, [rows] * self.ensemble.size, self.pairs, self.weights))

    def opinions(self, graphs: Graphs) -> Opinions:
        """See `Model`."""
        scores = self.scores(graphs)
        if self.spread is not None:
            center, scale = self.spread
            scores = (scores - center[:, None]) / scale[:, None]
        return Opinions(scores)

    def encode(self, graphs: Graphs) -> NDArray[np.float32]:
        """See `Model`."""
        index = torch.arange(len(graphs)).expand(self.ensemble.size, -1)
        with torch.no_grad():
            embeddings = self.ensemble.call(prepared(self.ensemble, graphs)[index], "embed", parameters=self.weights)
        encodings: NDArray[np.float32] = embeddings[0].float().cpu().numpy()
        return encodings


class Encoding:
    """A fixed encoding that gives an architecture the features it has beside those it was fitted with.

    job: with the encoding. known: [N] architectures whose features are fixed: those with labels first, then others that
    a pre-training saw. features: theirs, float [N, F] (None: they are computed).
    """

    def __init__(self, job: TrainingJob, known: Graphs, labelled: int, features: Floats | None = None) -> None:
        self.job, self.known, self.labelled = job, known.plain().to("cpu"), labelled
        self.features = self._computed(self.known) if features is None else features
        self.row = {content: row for row, content in enumerate(contents(self.known))}

    def __call__(self, graphs: Graphs) -> Floats:
        """Features [n, F] of graphs [n].

        ArchrankError for a pre-trained encoding of architectures that its pre-training did not see, and where features
        depend on which architectures are encoded together.
        """
        graphs = graphs.plain().to("cpu")
        rows = [self.row.get(content) for content in contents(graphs)]
        if (unseen := [at for at, row in enumerate(rows) if row is None]) and self.job.spec.info.pretrained:
            raise ArchrankError(
                f"{self.job.spec.info.name} encodes what its pre-training saw, and architecture {unseen[0]} (with {len(unseen) - 1} more) "
                "was not there: fit(graphs, scores, pool=candidates) pre-trains on them too"
            )
        known = np.array([row for row in rows if row is not None], np.int64)
        features = np.zeros((len(rows), self.features.shape[1]))
        features[[at for at, row in enumerate(rows) if row is not None]] = self.features[known]
        if unseen:
            features[unseen] = self._beside_known(graphs[unseen])
        return features

    def _beside_known(self, graphs: Graphs) -> Floats:
        """Features of architectures that are not known, encoded beside few of the known ones, or else beside all."""
        for count in dict.fromkeys((min(2, self.labelled), len(self.known))):
            together = self._computed(joined(self.known[:count], graphs))
            if same_features(together[:count], self.features[:count]):
                return together[count:]
        raise ArchrankError(
            f"{self.job.spec.info.name} gives an architecture other features when it is encoded beside others, so that new ones do not fit "
            "what was fitted: fit(graphs, scores, pool=candidates) encodes them together"
        )

    def _computed(self, graphs: Graphs) -> Floats:
        try:
            features = checked_features(self.job.spec.info.name, self.job.encode(graphs), len(graphs))
        except ValueError as error:
            raise ArchrankError(str(error)) from None
        return features.double().numpy()


class EncodedModel:
    """A head on a fixed encoding.

    labels: float [n] of the architectures that stand first in the encoding's. networks, or else regressors: fitted to
    them.
    """

    def __init__(
        self, encoding: Encoding, labels: Floats, networks: Networks | None = None, regressors: Sequence[Fitted] = ()
    ) -> None:
        self.encoding, self.labels, self.networks, self.regressors = encoding, labels, networks, [*regressors]
        features = encoding.features[: encoding.labelled]
        blocks = blocks_of(encoding.job.encoder, features, encoding.job.space)
        self.factors = block_scales(features, blocks) if blocks else np.ones(features.shape[1])

    @classmethod
    def fit(
        cls,
        encoding: Encoding,
        labels: Floats,
        seeds: Sequence[int],
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> EncodedModel:
        """Fit a head for each seed. ArchrankError where the encoding tells no two architectures apart."""
        job, rows, features = encoding.job, np.arange(encoding.labelled), encoding.features[: encoding.labelled]
        if job.spec.head != "none" and not (features != features[0]).any():
            raise ArchrankError(f"{job.spec.info.name} gives all architectures with labels one encoding")
        if job.spec.neural:
            encoded = replace(job, graphs=encoding.known).with_features(encoding.features)
            members = [Member(seed, rows, labels, rows[:0]) for seed in seeds]
            return cls(encoding, labels, Networks.fit(encoded.with_members(members), device, progress))
        fitted = cls(encoding, labels)
        for number, seed in enumerate(seeds, 1):
            scaled = features * fitted.factors
            fitted.regressors.append(fit_regressor(job.spec.head, scaled, labels, seed, job.spec.head_config))
            if progress is not None:
                progress(number / len(seeds))
        return fitted

    def opinions(self, graphs: Graphs) -> Opinions:
        """See `Model`."""
        features = self.encoding(graphs)
        if self.networks is not None:
            return self.networks.opinions(replace(self.encoding.job, graphs=graphs).with_features(features).graphs)
        scaled = features * self.factors
        scores = np.stack([np.asarray(fitted.predict(scaled), np.float64) for fitted in self.regressors])
        if not all(isinstance(fitted, FittedWithStd) for fitted in self.regressors):
            return Opinions(scores)
        return Opinions(scores, np.stack([np.asarray(f.std(scaled), np.float64) for f in self.regressors]))  # type: ignore[attr-defined]

    def encode(self, graphs: Graphs) -> NDArray[np.float32]:
        """See `Model`."""
        return self.encoding(graphs).astype(np.float32)


def joined(first: Graphs, second: Graphs) -> Graphs:
    """Graphs [a] and then graphs [b], padded alike."""
    nodes = max(first.nodes, second.nodes)
    parts = [graphs.plain().pad(nodes).tensors() for graphs in (first, second)]
    return Graphs(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})  # type: ignore[arg-type]


def contents(graphs: Graphs) -> list[bytes]:
    """What each graph [n] holds, as bytes: equal for equal graphs, node by node."""
    count = graphs.mask.sum(1).tolist()
    parts = [tensor.numpy() for name in BASE if (tensor := getattr(graphs, name)) is not None]
    return [
        b"|".join((part[row, :nodes, :nodes] if part is parts[1] else part[row, :nodes]).tobytes() for part in parts)
        for row, nodes in enumerate(count)
    ]
