"""The winner, for use inside one's own search loop: a scikit-learn style estimator around one predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.graphs import Graphs
from archrank.datasets.space import SearchSpace
from archrank.eval import saved, saved_models
from archrank.eval.engine.batching import Member
from archrank.eval.engine.device import chosen_device
from archrank.eval.engine.random_numbers import derive_seed
from archrank.eval.engine.threads import limited
from archrank.eval.fitted import EncodedModel, Encoding, Model, Networks, joined
from archrank.eval.fitted_portfolio import CombinedModel
from archrank.eval.given import checked_graphs, checked_scores
from archrank.eval.metrics import kendall
from archrank.eval.trials.job import TrainingJob, make_job
from archrank.eval.trials.pretraining import prepare_without_table
from archrank.eval.trials.recipe_files import find_recipe
from archrank.eval.trials.specs import parse
from archrank.eval.trials.tuning import best_candidate

# Architectures kept with a predictor to see that it is loaded as it was saved, and how far their scores may lie apart
# on another machine.
PROBED = 8
Floats = NDArray[np.float64]


class Predictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Ranks architectures: `Predictor("gcn", space).fit(graphs, scores).predict(more_graphs)`.

    encoder: a predictor as on the command line: `flowerformer[layers=3]`, `path+gp`, `adjacency+boosting`,
        `my_file.py:MyEncoder`, `auto`.
    space: the search space the graphs belong to; a graph must have no edge outside `space.support`.
    recipe: how networks are trained, a name or a YAML file. By `tuned` all members have the one candidate that ranks
        held-out labels best.
    direction: `max` if high scores are good.
    seed: of weights, order, dropout, and of what a regressor draws. Fitting takes one thread, as a worker does.
    device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
    members: predictors of different seeds, trained as one ensemble, whose mean predicts; the first is that of `seed`.
    progress: a bar on the terminal while it is fitted, or a function that is called with the share that is done.

    A prediction is a score that orders architectures, higher is better; it is not in the unit of the labels.
    """

    def __init__(
        self,
        encoder: Any = "gcn",
        space: SearchSpace | None = None,
        recipe: str = "common",
        direction: str = "max",
        seed: int = 0,
        device: str = "auto",
        members: int = 1,
        progress: bool | Callable[[float], None] = False,
    ) -> None:
        self.encoder = encoder
        self.space = space
        self.recipe = recipe
        self.direction = direction
        self.seed = seed
        self.device = device
        self.members = members
        self.progress = progress

    @limited(1)
    def fit(self, X: Any, y: ArrayLike, pool: Any = None) -> Predictor:
        """Train on architectures [n] with scores [n].

        X: `Graphs`, or a list of what `SearchSpace.graphs` takes.
        pool: architectures without scores that will be predicted. A pre-trained encoding (`cate`, `arch2vec`) encodes
            only what it was pre-trained on, so that it needs them here; a pretext (`gin[pretext=counts]`) sees them
            beside X; others do not look at them.

        ArchrankError if anything does not fit the space or each other.
        """
        device = chosen_device(self.device)
        X = checked_graphs(X, self.space, "Predictor")
        scores = checked_scores(y, len(X), self.direction, self.seed)
        pool = None if pool is None else checked_graphs(pool, self.space, "Predictor")
        if not isinstance(self.members, (int, np.integer)) or self.members < 1:
            raise ArchrankError(f"members {self.members!r}: a predictor has at least one")
        job = self._job(X)
        labels, known = job.labels(scores, self.direction, ""), X if pool is None else joined(X, pool)
        with _watched(self.progress, job.spec.label) as progress:
            if job.spec.info.portfolio:
                self.model_: Model = CombinedModel.fit(job, pool, labels, int(self.seed), device, progress)
            elif job.spec.info.learned:
                rows = np.arange(len(X))
                job = job.with_members([Member(seed, rows, labels, rows[:0]) for seed in self._seeds()])
                job = best_candidate(job, device) if job.tuned else job
                if job.spec.additions:
                    job = job.with_given(prepare_without_table(job, known, device))
                self.model_ = Networks.fit(job, device, progress)
            else:
                encoding = Encoding(job, known, len(X))
                self.model_ = EncodedModel.fit(encoding, labels, self._seeds(), device, progress)
        self.probe_ = X[:PROBED].plain().to("cpu")
        self.n_features_in_ = X.nodes
        return self

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> Floats: ...

    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[Floats, Floats]: ...

    def predict(self, X: Any, return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Scores [n], higher is better. An encoder that compares pairs gives Borda counts among these architectures.

        X: as for `fit`.
        return_std: the standard deviations [n] of the scores too: of the head where it has one (gp, dngo, forest, knn),
            and of the members' scores where there are several.

        ArchrankError for architectures outside the space, and where there is no standard deviation.
        """
        check_is_fitted(self, "model_")
        scores, std = self.model_.opinions(checked_graphs(X, self.space, "Predictor").plain()).together()
        if not return_std:
            return scores
        label = parse(self.encoder, "here")[0].label
        if std is None:
            raise ArchrankError(f"one {label} has no standard deviation; several have: Predictor(..., members=5)")
        if len(std) and not std.any():
            raise ArchrankError(
                f"all members of {label} agree, because nothing in it is random; take a head with a standard deviation: gp, dngo, forest, knn"
            )
        return scores, std

    def score(self, X: Any, y: ArrayLike, sample_weight: None = None) -> float:
        """Kendall's tau-b between predictions and scores y [n]: 1 for the right order, whichever end of the scores is
        good."""
        return kendall(np.asarray(y, np.float64), self.predict(X), "min" if self.direction == "min" else "max")

    def encode(self, X: Any) -> NDArray[np.float32]:
        """Embeddings [n, dim] before the head; of several members, those of the first."""
        check_is_fitted(self, "model_")
        return self.model_.encode(checked_graphs(X, self.space, "Predictor").plain())

    def save(self, path: Path | str) -> None:
        """Weights as safetensors, with what is needed to load them again; of a regressor, its features and labels, to
        which it is then fitted again.

        ArchrankError if what is loaded would predict otherwise: an encoder may keep state where no file of weights
        holds it.
        """
        check_is_fitted(self, "model_")
        assert self.space is not None
        job = self._job(self.probe_)
        if job.spec.info.portfolio:
            raise ArchrankError(
                f"{job.spec.label} is saved by archrank.AutoPredictor, which has the same fit and predict"
            )
        about = {"recipe": str(self.recipe), "direction": self.direction, "seed": int(self.seed)}
        header, tensors = saved_models.described(job, self.model_, int(self.members), about)
        probe = self.probe_.pad(max(self.probe_.nodes, self.space.max_nodes))
        tensors |= saved.graph_tensors("probe", probe)
        tensors["probe/scores"] = torch.from_numpy(self.predict(probe))
        try:
            self._restored(path, header, tensors, job)
        except ArchrankError as error:
            raise ArchrankError(
                f"{job.spec.label} cannot be saved exactly: it keeps state outside its parameters and buffers, so that one loaded would "
                "predict otherwise; keep such tensors with self.register_buffer, and numbers as tensors"
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
        if info.learned != (header.kind == "networks"):
            raise ArchrankError(f"{path} is damaged: {info.name} is {'no' if info.learned else 'a'} fixed encoding")
        name = info.name if encoder is None else encoder
        spec = {"name": name, **info.validate(header.options)} | ({"head": header.head} if header.head else {})
        space = saved.space_of(path, header.space, tensors)
        predictor = cls(spec, space, header.recipe, header.direction, header.seed, members=header.members)
        graphs, _ = saved.probe_of(path, tensors, space)
        job = saved_models.job_of(header, parse(spec, "here")[0], space, graphs)
        return predictor._restored(path, header, tensors, job)

    def _restored(
        self, path: Path | str, header: saved.Header, tensors: dict[str, Tensor], job: TrainingJob
    ) -> Predictor:
        """A predictor like this one with what is in a file; ArchrankError unless it scores the file's architectures as
        they were scored."""
        assert self.space is not None
        graphs, scores = saved.probe_of(path, tensors, self.space)
        again: Predictor = clone(self)
        try:
            again.model_ = saved_models.restored(path, header, tensors, job, graphs, self._seeds())
            again.probe_, again.n_features_in_ = graphs, graphs.nodes
            predictions = again.predict(graphs)
        except ArchrankError:
            raise
        except Exception as error:  # whatever an encoder does with options and weights that are not its own
            raise ArchrankError(f"{path} does not fit its encoder: {one_line(error, 160)}") from None
        saved.check_same(path, scores, predictions, "did the encoder change since?")
        return again

    def _job(self, graphs: Graphs) -> TrainingJob:
        """How it is trained on these architectures."""
        specs = parse(self.encoder, "here")
        if len(specs) != 1:
            raise ArchrankError(f"encoder={self.encoder!r} names {len(specs)} encoders; a predictor has one")
        assert self.space is not None
        job = make_job(specs[0], find_recipe(self.recipe), self.space, graphs)
        label, kind = specs[0].label, specs[0].info
        if job.tuned and not kind.learned:
            raise ArchrankError(f"recipe {self.recipe} tunes encoders that are trained, which {label} is not")
        if kind.portfolio and self.members != 1:
            raise ArchrankError(f"members={self.members}: {label} is several predictors already; leave members out")
        return job

    def _seeds(self) -> list[int]:
        """The members' seeds."""
        return [int(self.seed), *(derive_seed(int(self.seed), f"member {at}") for at in range(1, int(self.members)))]


@contextmanager
def _watched(progress: bool | Callable[[float], None], title: str) -> Iterator[Callable[[float], None] | None]:
    """What is called with the share of a fit that is done: nothing, the user's function, or a bar on the terminal."""
    if progress is False or progress is None:
        yield None
    elif progress is not True:
        yield progress
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"fitting {title}".replace("[", r"\["), total=1.0)
            yield lambda share: bar.update(task, completed=share)
