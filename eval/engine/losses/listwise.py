"""Losses of a whole batch as one list."""

from __future__ import annotations

import torch
from torch import Tensor

from archrank.eval.engine.losses import loss


@loss("listnet")
def listnet(scores: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of the scores' chances to come first with the labels': -sum softmax(y / temperature) log softmax(s)
    (ListNet).

    Z. Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007, with top-one
    probabilities.
    """
    return -(torch.softmax(labels / temperature, -1) * torch.log_softmax(scores, -1)).sum(-1)


@loss("listmle")
def listmle(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over places of log sum_{j >= i} exp s_j - s_i, best label first: how unlikely the true order is (ListMLE).

    F. Xia et al., "Listwise Approach to Learning to Rank", ICML 2008: the negative Plackett-Luce log-likelihood, here
    divided by the length of the list, so that a learning rate fits every batch size. Equal labels keep the order of the
    batch.
    """
    ordered = scores.gather(-1, torch.argsort(labels, dim=-1, descending=True, stable=True))
    remaining = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    return (remaining - ordered).mean(-1)
