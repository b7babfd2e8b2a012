"""A policy that walks through an encoding, trained by REINFORCE."""

from __future__ import annotations

import numpy as np

from archrank.eval.search.pool import Pool
from archrank.eval.search.steps import Query, Steps, strategy


@strategy("reinforce")
def reinforce(
    pool: Pool,
    rng: np.random.Generator,
    *,
    initial: int = 16,
    batch: int = 16,
    hidden: int = 128,
    rate: float = 0.01,
    decay: float = 0.9,
) -> Steps:
    """An LSTM moves from one embedding to the next; the architecture nearest to where it goes is queried.

    Source: Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural Architecture Search?"
    (arch2vec), NeurIPS 2020: `reinforce[perturb=arch2vec]`. The policy reads the embedding of the current architecture
    and gives the mean of a normal distribution of the next one; after every `batch` moves it is updated by REINFORCE
    with the reward's moving average as baseline.

    Departures: embeddings are standardised, so that the policy's unit variance means the same for every encoding; the
    nearest candidate that was not queried is taken, so that every move spends a query; the reward is the score's
    z-value among those queried.

    initial: random architectures to start from, the best of which is where each walk begins. batch: moves of a walk.
    hidden: units of the LSTM. rate: of Adam. decay: of the baseline.
    """
    import torch

    points = pool.points
    deviation = points.std(0)
    points = (points - points.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    table = torch.from_numpy(points).float()
    width = table.shape[1]
    history = yield Query(pool.draw(rng, initial))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        cell, head = torch.nn.LSTMCell(width, hidden), torch.nn.Linear(hidden, width)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], rate)
    baseline = 0.0
    while pool.left(history.seen):
        here = (history.best() or pool.draw(rng, 1))[0]
        state, moves = (torch.zeros(1, hidden), torch.zeros(1, hidden)), []
        for _ in range(min(batch, len(pool) - len(history.seen))):
            with torch.enable_grad():
                state = cell(table[here][None], state)
                mean = head(state[0])[0]
            goal = mean.detach() + torch.randn(width, generator=generator)
            gaps = ((table - goal) ** 2).sum(1)
            gaps[torch.tensor(sorted(history.seen))] = torch.inf
            here = int(gaps.argmin())
            moves.append((mean, goal))
            history = yield Query([here])
        rewards = _standardised(history.scores)[-len(moves) :]
        with torch.enable_grad():
            loss = torch.zeros(())
            for (mean, goal), reward in zip(moves, rewards):
                loss = loss + (reward - baseline) * 0.5 * ((goal - mean) ** 2).sum()
                baseline = decay * baseline + (1 - decay) * reward
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _standardised(scores: list[float]) -> list[float]:
    """z-values; of a failed evaluation the worst."""
    values = np.array(scores)
    values = np.where(np.isfinite(values), values, np.nanmin(values)) if np.isfinite(values).any() else values * 0
    return [float(v) for v in (values - values.mean()) / (values.std() or 1.0)]
