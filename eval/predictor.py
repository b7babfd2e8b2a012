"""The winner, for use inside one's own search loop: a scikit-learn style estimator around one encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval.engine.batching import Member, View
from archrank.eval.engine.device import check_device
from archrank.eval.engine.ensemble import Ensemble
from archrank.eval.engine.labels import transform
from archrank.eval.engine.network import Network
from archrank.eval.engine.recipes import resolve_recipe
from archrank.eval.engine.training import fit, predict
from archrank.eval.metrics import kendall
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse


class Predictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Ranks architectures: `Predictor("gcn", space).fit(graphs, scores).predict(more_graphs)`.

    encoder: a learned encoder as on the command line (`flowerformer[layers=3]`). space: the search space the graphs belong to; a graph must
    have no edge outside `space.support`. recipe: a name, or a YAML file. direction: `max` if high scores are good. seed: weights, order, dropout.
    A prediction is a score that orders architectures, higher is better; it is not in the unit of the labels.
    """

    def __init__(self, encoder: Any = "gcn", space: SearchSpace | None = None, recipe: str = "common", direction: str = "max", seed: int = 0,
                 device: str = "cpu") -> None:
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
        spec, recipe, config = self._spec()
        rows = np.arange(len(X))
        member = Member(self.seed, rows, transform(scores, recipe.labels, self.direction, ""), rows[:0])
        target = spec.info.load()
        twins = target.twins(X) if recipe.consistency else None
        trained = fit(lambda _m, _p: target(self.space, **config), X, [member], recipe, device=self.device, twins=twins,
                      pairs="compare" in spec.info.hooks)
        self.ensemble_, self.weights_, self.pairs_ = trained.ensemble, trained.average, trained.pairs
        self.n_features_in_ = X.nodes
        return self

    def predict(self, X: Graphs) -> NDArray[np.float64]:
        """Scores [n], higher is better. An encoder that compares pairs gives Borda counts among these architectures."""
        check_is_fitted(self, "ensemble_")
        X = self._checked(X)
        return predict(self.ensemble_, self._prepared(X), [np.arange(len(X))], self.pairs_, self.weights_)[0]

    def score(self, X: Graphs, y: ArrayLike, sample_weight: None = None) -> float:
        """Kendall's tau-b between predictions and scores y [n]: 1 for the right order, whichever end of the scores is good."""
        return kendall(np.asarray(y, np.float64), self.predict(X), "min" if self.direction == "min" else "max")

    def encode(self, X: Graphs) -> NDArray[np.float32]:
        """Embeddings [n, dim] before the head."""
        check_is_fitted(self, "ensemble_")
        X = self._checked(X)
        index = torch.arange(len(X)).expand(1, -1)
        with torch.no_grad():
            return self.ensemble_.call(self._prepared(X)[index], "embed", parameters=self.weights_)[0].float().cpu().numpy()

    def save(self, path: Path | str) -> None:
        """Weights as safetensors, with the settings needed to load them again."""
        from safetensors.torch import save_file

        check_is_fitted(self, "ensemble_")
        assert self.space is not None
        weights = self.weights_ or self.ensemble_.parameters
        kept = self.ensemble_.skeleton.state_dict().keys()
        tensors = {f"parameter/{k}": v[0].detach().contiguous() for k, v in weights.items()}
        tensors |= {f"buffer/{k}": v[0].contiguous() for k, v in self.ensemble_.buffers.items() if k in kept}
        said = {"encoder": self._spec()[0].address, "recipe": self.recipe, "direction": self.direction, "seed": str(self.seed),
                "space": json.dumps(self.space.to_card()), "nodes": str(self.n_features_in_)}
        if self.space.support is not None:
            tensors["space/support"] = torch.from_numpy(self.space.support)
        save_file(tensors, str(path), {"archrank": json.dumps(said)})

    @classmethod
    def load(cls, path: Path | str, encoder: Any = None) -> Predictor:
        """A saved predictor, ready to predict. encoder: needed only where it was a file of one's own that has moved.

        ArchrankError for a file that `save` did not write.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as kept:
                tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
                said = json.loads((kept.metadata() or {}).get("archrank", "null"))
        except SafetensorError as error:
            raise ArchrankError(f"{path} is no file of weights: {one_line(error)}") from None
        if said is None:
            raise ArchrankError(f"{path} holds weights, but not those of a saved predictor")
        card = json.loads(said["space"])
        support = tensors["space/support"].numpy() if "space/support" in tensors else None
        space = SearchSpace(card["name"], tuple(card["ops"]), card["max_nodes"], card["roles"], card["cells"], support, None,
                            tuple(card.get("attrs", ())))
        predictor = cls(encoder or said["encoder"], space, said["recipe"], said["direction"], int(said["seed"]))
        spec, recipe, config = predictor._spec()
        nodes = int(said["nodes"])
        probe = Graphs(torch.zeros(1, nodes, dtype=torch.long), torch.zeros(1, nodes, nodes, dtype=torch.bool),
                       torch.ones(1, nodes, dtype=torch.bool), torch.zeros(1, nodes, dtype=torch.long))
        pairs = "compare" in spec.info.hooks
        network = Network(spec.info.load()(space, **config), recipe.head, probe, pairs)
        state = {name.split("/", 1)[1]: tensor for name, tensor in tensors.items() if not name.startswith("space/")}
        try:
            network.load_state_dict(state)
        except RuntimeError:
            raise ArchrankError(f"{path} was saved from another version of {said['encoder']}; fit it again") from None
        predictor.ensemble_, predictor.weights_, predictor.pairs_ = Ensemble([network]), None, pairs
        predictor.ensemble_.probe([View(probe[torch.zeros(1, 1, dtype=torch.long)], None, None)], "embed")
        predictor.ensemble_.train(False)
        predictor.n_features_in_ = nodes
        return predictor

    def _spec(self) -> Any:
        spec = parse(self.encoder)[0]
        if not spec.info.learned:
            raise ArchrankError(f"Predictor takes learned encoders; {spec.info.name} is a fixed encoding (use it with a scikit-learn regressor)")
        return spec, *resolve_recipe(find_recipe(self.recipe), spec.info.load(), spec.config, spec.layers(), self.space)

    def _checked(self, graphs: Graphs | Sequence[Graphs]) -> Graphs:
        """The graphs, put together where scikit-learn took them apart; ArchrankError if they are none or do not fit the space."""
        if not isinstance(self.space, SearchSpace):
            raise ArchrankError("Predictor needs the search space: Predictor(encoder, benchmark.space)")
        if isinstance(graphs, list) and graphs and all(isinstance(one, Graphs) for one in graphs):
            graphs = graphs[0].with_tensors({name: torch.stack([one.tensors()[name] for one in graphs]) for name in graphs[0].tensors()})
        if not isinstance(graphs, Graphs):
            raise ArchrankError(f"architectures are given as Graphs (benchmark.graphs[...]), not as {type(graphs).__name__}")
        if not len(graphs):
            raise ArchrankError("there is no architecture in what was given")
        if int(graphs.ops.max()) >= len(self.space.ops):
            raise ArchrankError(f"op {int(graphs.ops.max())} is unknown; space '{self.space.name}' has {len(self.space.ops)} ops")
        if self.space.support is not None:
            if graphs.nodes != self.space.max_nodes:
                raise ArchrankError(f"graphs are padded to {graphs.nodes} nodes, space '{self.space.name}' to {self.space.max_nodes}; use Graphs.pad")
            outside = graphs.adj.any(0).cpu() & ~torch.from_numpy(self.space.support)
            if outside.any():
                u, v = outside.nonzero()[0].tolist()
                raise ArchrankError(f"an architecture has the edge {u} -> {v}, which no architecture of space '{self.space.name}' has")
        return graphs

    def _prepared(self, graphs: Graphs) -> Graphs:
        """The graphs on the device, with what this encoder derives and nothing that others did."""
        plain = graphs.plain().to(self.ensemble_.device)
        probe = plain[:2]
        with torch.no_grad():
            self.ensemble_.skeleton(probe, "embed")
        return plain.prepare(probe)
