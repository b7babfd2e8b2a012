"""The winner, for use inside one's own search loop: a scikit-learn style estimator around one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.encoders import catalog
from archrank.encoders.views import build as build_encoder
from archrank.eval import saved
from archrank.eval.engine.batching import Member, derive_seed
from archrank.eval.engine.device import check_device
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.network import Network
from archrank.eval.engine.training import predict
from archrank.eval.metrics import kendall
from archrank.eval.trials.job import TrainingJob, make_job
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse

# Architectures kept with a predictor to see that it is loaded as it was saved, and how far their scores may lie apart
# on another machine.
PROBED, TOLERANCE = 8, 1e-3


class Predictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Ranks architectures: `Predictor("gcn", space).fit(graphs, scores).predict(more_graphs)`.

    encoder: a learned encoder as on the command line (`flowerformer[layers=3]`). space: the search space the graphs
    belong to; a graph must have no edge outside `space.support`. recipe: a name, or a YAML file. direction: `max` if
    high scores are good. seed: weights, order, dropout. A prediction is a score that orders architectures, higher is
    better; it is not in the unit of the labels.
    """

    def __init__(
        self,
        encoder: Any = "gcn",
        space: SearchSpace | None = None,
        recipe: str = "common",
        direction: str = "max",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.encoder = encoder
        self.space = space
        self.recipe = recipe
        self.direction = direction
        self.seed = seed
        self.device = device

    def fit(self, X: Graphs, y: ArrayLike) -> Predictor:
        """Train on graphs [n] with scores [n]. ArchrankError if they do not fit the space or each other."""
        check_device(self.device)
        if not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise ArchrankError(f"seed {self.seed!r}: seeds are whole numbers from 0 on")
        if self.direction not in ("max", "min"):
            raise ArchrankError(f"direction is max or min, not '{self.direction}'")
        X = self._checked(X)
        try:
            scores = np.asarray(y, np.float64)
        except (TypeError, ValueError):
            raise ArchrankError("scores are numbers, one for each architecture") from None
        if scores.shape != (len(X),):
            raise ArchrankError(f"{len(X)} architectures but scores of shape {list(scores.shape)}; give one score each")
        if not np.isfinite(scores).all():
            raise ArchrankError(f"score {int(np.flatnonzero(~np.isfinite(scores))[0])} is not a finite number")
        if len(np.unique(scores)) < 2:
            raise ArchrankError("all scores are equal: there is no order to learn")
        job, rows = self._job(X), np.arange(len(X))
        member = Member(self.seed, rows, job.labels(scores, self.direction, ""), rows[:0])
        trained = job.with_members([member]).fit(device=self.device)
        self.ensemble_, self.weights_, self.pairs_ = trained.ensemble, trained.average, trained.pairs
        self.layers_ = job.recipe.head
        self.probe_ = X[:PROBED].plain().to("cpu")
        self.n_features_in_ = X.nodes
        return self

    def predict(self, X: Graphs) -> NDArray[np.float64]:
        """Scores [n], higher is better. An encoder that compares pairs gives Borda counts among these architectures."""
        check_is_fitted(self, "ensemble_")
        X = self._checked(X)
        return predict(self.ensemble_, self._prepared(X), [np.arange(len(X))], self.pairs_, self.weights_)[0]

    def score(self, X: Graphs, y: ArrayLike, sample_weight: None = None) -> float:
        """Kendall's tau-b between predictions and scores y [n]: 1 for the right order, whichever end of the scores is
        good."""
        return kendall(np.asarray(y, np.float64), self.predict(X), "min" if self.direction == "min" else "max")

    def encode(self, X: Graphs) -> NDArray[np.float32]:
        """Embeddings [n, dim] before the head."""
        check_is_fitted(self, "ensemble_")
        X = self._checked(X)
        index = torch.arange(len(X)).expand(1, -1)
        with torch.no_grad():
            return (
                self.ensemble_.call(self._prepared(X)[index], "embed", parameters=self.weights_)[0]
                .float()
                .cpu()
                .numpy()
            )

    def save(self, path: Path | str) -> None:
        """Weights as safetensors, with what is needed to load them again.

        ArchrankError if what is loaded would predict otherwise: an encoder may keep state where no file of weights
        holds it.
        """
        check_is_fitted(self, "ensemble_")
        assert self.space is not None
        network = self.ensemble_.skeleton
        job = self._job(self.probe_)
        spec = job.spec
        head = None if spec.head_text == spec.default_head else spec.head_text
        header = saved.Header.model_validate(
            {
                "encoder": spec.info.name,
                "options": spec.config,
                "config": job.config,
                "head": head,
                "layers": self.layers_.model_dump(),
                "pairs": self.pairs_,
                "sequential": self.ensemble_.fallback,
                "recipe": str(self.recipe),
                "direction": self.direction,
                "seed": int(self.seed),
                "space": self.space.to_card(),
            },
            strict=False,
        )
        weights = {name: stacked[0] for name, stacked in (self.weights_ or self.ensemble_.parameters).items()}
        tensors = saved.state_of(network, weights) | {
            f"buffer/{name}": stacked[0] for name, stacked in self.ensemble_.buffers.items()
        }
        probe = self.probe_.plain().pad(max(self.probe_.nodes, self.space.max_nodes))
        tensors |= {f"probe/{name}": tensor for name, tensor in probe.tensors().items()} | {
            "probe/scores": torch.from_numpy(self.predict(probe))
        }
        if self.space.support is not None:
            tensors["space/support"] = torch.from_numpy(self.space.support)
        try:
            self._restored(path, header, tensors, job.encoder)
        except ArchrankError as error:
            raise ArchrankError(
                f"{spec.label} cannot be saved exactly: it keeps state outside its parameters and buffers, so that one loaded would predict "
                "otherwise; keep such tensors with self.register_buffer, and numbers as tensors"
            ) from error
        saved.write(path, header, tensors)

    @classmethod
    def load(cls, path: Path | str, encoder: Any = None) -> Predictor:
        """A saved predictor, ready to predict.

        encoder: the class of an encoder that is not built in; the file says its name and options, and nothing that it
        names is imported. ArchrankError for a file that `save` did not write, or from an encoder that has changed
        since.
        """
        header, tensors = saved.read(path)
        info = saved.encoder_of(path, header, encoder)
        if not info.learned:
            raise ArchrankError(f"{path}: {info.name} is a fixed encoding; a saved predictor holds a learned encoder")
        name = info.name if encoder is None else encoder
        spec = {"name": name, **info.validate(header.options)} | ({"head": header.head} if header.head else {})
        predictor = cls(spec, saved.space_of(path, header, tensors), header.recipe, header.direction, header.seed)
        return predictor._restored(
            path, header.model_copy(update={"config": info.validate(header.config)}), tensors, info.load()
        )

    def _restored(self, path: Path | str, header: saved.Header, tensors: dict[str, Tensor], encoder: Any) -> Predictor:
        """A predictor like this one with the weights of a file; ArchrankError unless it scores the file's architectures
        as they were scored."""
        space = self.space
        assert space is not None
        graphs, scores = saved.probe_of(path, tensors, space)
        again = clone(self)
        try:
            if header.encoder in catalog.builtin() and encoder is catalog.builtin()[header.encoder].load():
                saved.check_size(path, header, lambda: build_encoder(encoder, space, header.config), tensors)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(header.seed, "restored"))
                network = Network(build_encoder(encoder, space, header.config), header.layers, graphs[:1], header.pairs)
            saved.restore(path, network, tensors)
            again.ensemble_ = Ensemble([network]).train(False)
            if header.sequential is not None:
                again.ensemble_.separate(header.sequential)
            again.weights_, again.pairs_, again.layers_, again.probe_, again.n_features_in_ = (
                None,
                header.pairs,
                header.layers,
                graphs,
                graphs.nodes,
            )
            found = again.predict(graphs)
        except ArchrankError:
            raise
        except Exception as error:  # whatever an encoder does with options and weights that are not its own
            raise ArchrankError(f"{path} does not fit its encoder: {one_line(error, 160)}") from None
        apart = np.abs(found - scores.numpy()).max() / max(float(np.abs(scores.numpy()).max()), 1e-12)
        if not apart <= TOLERANCE:
            raise ArchrankError(
                f"{path}: loaded predictions differ from those at saving by {apart:.0e} of their size; did the encoder change since?"
            )
        return again

    def _job(self, graphs: Graphs) -> TrainingJob:
        """How it is trained on these architectures; ArchrankError for an encoder that is not learned."""
        spec = parse(self.encoder, "here")[0]
        if not spec.info.learned:
            raise ArchrankError(
                f"Predictor takes learned encoders; {spec.info.name} is a fixed encoding (use it with a scikit-learn regressor)"
            )
        assert self.space is not None
        return make_job(spec, find_recipe(self.recipe), self.space, graphs)

    def _checked(self, graphs: Graphs | Sequence[Graphs]) -> Graphs:
        """The graphs, put together where scikit-learn took them apart; ArchrankError if they are none or do not fit the
        space."""
        if not isinstance(self.space, SearchSpace):
            raise ArchrankError("Predictor needs the search space: Predictor(encoder, benchmark.space)")
        if isinstance(graphs, list) and graphs and all(isinstance(one, Graphs) for one in graphs):
            graphs = graphs[0].with_tensors(
                {name: torch.stack([one.tensors()[name] for one in graphs]) for name in graphs[0].tensors()}
            )
        if not isinstance(graphs, Graphs):
            raise ArchrankError(
                f"architectures are given as Graphs (benchmark.graphs[...]), not as {type(graphs).__name__}"
            )
        if not len(graphs):
            raise ArchrankError("there is no architecture in what was given")
        if int(graphs.ops.max()) >= len(self.space.ops):
            raise ArchrankError(
                f"op {int(graphs.ops.max())} is unknown; space '{self.space.name}' has {len(self.space.ops)} ops"
            )
        if self.space.support is not None:
            if graphs.nodes != self.space.max_nodes:
                raise ArchrankError(
                    f"graphs are padded to {graphs.nodes} nodes, space '{self.space.name}' to {self.space.max_nodes}; use Graphs.pad"
                )
            outside = graphs.adj.any(0).cpu() & ~torch.from_numpy(self.space.support)
            if outside.any():
                u, v = outside.nonzero()[0].tolist()
                raise ArchrankError(
                    f"an architecture has the edge {u} -> {v}, which no architecture of space '{self.space.name}' has"
                )
        return graphs

    def _prepared(self, graphs: Graphs) -> Graphs:
        """The graphs on the device, with what this encoder derives and nothing that others did."""
        plain = graphs.plain().to(self.ensemble_.device)
        probe = plain[:2]
        with torch.no_grad():
            self.ensemble_.skeleton(probe, "embed")
        return plain.prepare(probe)
