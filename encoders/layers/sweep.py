"""A sweep along the edges: each node's state is a gated update of its input and of an attention over its senders' final
states."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.launches import launch_bound
from archrank.encoders.ensembling.stacked import over_members
from archrank.encoders.layers.gru import GRU, gate, gate_slopes
from archrank.encoders.layers.short_sweep import ShortSwept, with_nobody

# Logits are cut to +-LIMIT, beyond which a softmax of float32 gives 0 or 1 anyway.
LIMIT = 60.0


class Sweep(nn.Module):
    """Node states h_v = GRU(x_v, m_v), m_v = sum_u softmax_u(key . h_u) h_u over the senders u of v (0 where there is
    none).

    The update of DAGNN (Thost and Chen 2021) and of FlowerFormer (Hwang et al. 2024). Their attention is additive in
    query and key, so the query cancels in the softmax and only the key is kept.
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.key = nn.Parameter(torch.empty(dim).uniform_(-1, 1) / math.sqrt(2 * dim))
        self.gru = GRU(inputs, dim)

    def forward(self, x: Tensor, senders: Tensor, groups: list[int], backward: bool = False) -> Tensor:
        """x [V, B, inputs], nodes first -> states [V, B, dim]; senders float [V(receiver), V(sender), B], 1 for an edge
        and 0 for none.

        Nodes are laid out group by group (sizes `groups`): no edge inside a group, senders in groups before the
        receiver's (behind it where `backward`).
        """
        half = self.gru.input_half(x)
        bounds = [sum(groups[:number]) for number in range(len(groups) + 1)]
        steps = [slice(start, stop) for start, stop in pairwise(bounds)]
        short = launch_bound(x)
        if short and senders.shape[-2] == x.shape[-3]:
            senders = with_nobody(senders, backward)
        parts = half, senders, self.key, self.gru.weight_hh, self.gru.bias_hh, steps, backward
        states: Tensor = (ShortSwept.apply(*parts, LIMIT) if short else Swept.apply(*parts))[0]
        return states


def nodes_first(senders: Tensor, dtype: torch.dtype, backward: bool = False) -> Tensor:
    """bool [B, V(receiver), V(sender)] -> float [V, V, B]: in this layout a group of nodes is one run of memory for the
    whole batch. backward: for which direction, so that sweeps of few launches find what they share."""
    laid_out = senders.movedim(-3, -1).to(dtype).contiguous()
    return with_nobody(laid_out, backward) if launch_bound(laid_out) else laid_out


@over_members
class Swept(torch.autograd.Function):
    """All groups one after the other, states written in place; backward the same way in reverse.

    half [*, V, B, 3 * dim], senders float [*, V, V, B], key [*, dim], weight [*, 3 * dim, dim], bias [*, 3 * dim], with
    the members in front or nothing. Softmax over senders is sum(e h) / sum(e) with e = exp(key . h): e belongs to the
    sender alone, so it is computed once a node.

    **Derivation.** S[v, u] is 1 where u sends to v. Forward, for each node v after its senders:

        sent_u = (e_u h_u, e_u),   (n_v, a_v) = sum_u S[v, u] sent_u,   m_v = n_v / a_v (0 without senders),
        g_v = W m_v + b (the hidden half of the gates),   h_v = gate(half_v, g_v, m_v),   e_v = exp(key . h_v).

    Backward, with d for the gradient of the loss, for each node v after its receivers: d sent_v = (d n'_v, d e_v) is
    complete, as sum_w S[w, v] (d n_w, d a_w) over the receivers w. Then, with z_v the update gate,

        d logit_v = (d n'_v . h_v + d e_v) e_v,   d h_v = d out_v + e_v d n'_v + d logit_v key,
        d g_v = d h_v slopes_v (`gru.gate_slopes`),   d m_v = W^T d g_v + z_v d h_v,
        d n_v = d m_v / a_v,   d a_v = -(d m_v . m_v) / a_v,

    and over all nodes d W = sum d g_v m_v^T, d b = sum d g_v, d key = sum d logit_v h_v. The plain form, node by node
    with `GRU` and `torch.softmax`, stands in the tests.
    """

    @staticmethod
    def forward(
        half: Tensor, senders: Tensor, key: Tensor, weight: Tensor, bias: Tensor, steps: list[slice], backward: bool
    ) -> tuple[Tensor, ...]:
        """The value, and what its derivative needs."""
        lead, dim = half.shape[:-1], key.shape[-1]
        states, new, last = (half.new_empty(*lead, dim) for _ in range(3))
        messages, inverse = half.new_zeros(*lead, dim), half.new_zeros(*lead, 1)
        both = half.new_empty(*lead, 2 * dim)
        sent = half.new_empty(*lead, dim + 1)  # e h and e of each node
        for here, known in _walk(steps, backward):
            message, fresh, own = _at(messages, here), _at(last, here), _at(half, here)
            if known is None:
                gates = bias[..., None, None, :].expand(own.shape)
            else:
                received = _gather(senders[..., here, known, :], _at(sent, known))
                total = received[..., dim:]
                turned = torch.reciprocal(total, out=_at(inverse, here)).masked_fill_(total == 0, 0)
                torch.mul(received[..., :dim], turned, out=message)
                gates = (message.flatten(-3, -2) @ weight.mT).add_(bias.unsqueeze(-2)).view(own.shape)
            fresh.copy_(gates[..., 2 * dim :])
            gate(own, gates, message, _at(both, here), _at(new, here), _at(states, here))
            state, e = _at(states, here), _at(sent, here)[..., dim:]
            logit = (state.flatten(-3, -2) @ key.unsqueeze(-1)).view(e.shape)
            torch.exp(logit.clamp_(-LIMIT, LIMIT), out=e)
            torch.mul(state, e, out=_at(sent, here)[..., :dim])
        return states, messages, both, new, last, sent, inverse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, senders, key, weight, _, ctx.steps, ctx.backward_sweep = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(senders, key, weight, *output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The derivative."""
        senders, key, weight, states, messages, both, new, last, sent, inverse = ctx.saved_tensors
        dim = key.shape[-1]
        slopes, slope_new = gate_slopes(both, new, last, messages)
        gates, total = (
            torch.empty_like(slopes),
            torch.empty_like(grad),
        )  # gradients of the hidden half, and of the states
        logits, grad_sent = torch.empty_like(inverse), torch.zeros_like(sent)
        for here, known in reversed(_walk(ctx.steps, ctx.backward_sweep)):
            state, of_sent, e = _at(states, here), _at(grad_sent, here), _at(sent, here)[..., dim:]
            of_state, of_logit = _at(total, here), _at(logits, here)
            torch.sum(of_sent[..., :dim] * state, -1, keepdim=True, out=of_logit).add_(of_sent[..., dim:]).mul_(e)
            torch.addcmul(_at(grad, here), of_sent[..., :dim], e, out=of_state).addcmul_(
                of_logit, key[..., None, None, :]
            )
            of_gates = _at(gates, here)
            torch.mul(
                of_state.unsqueeze(-2), _at(slopes, here).unflatten(-1, (3, dim)), out=of_gates.unflatten(-1, (3, dim))
            )
            if known is not None:
                message, turned = _at(messages, here), _at(inverse, here)
                of_message = (
                    (of_gates.flatten(-3, -2) @ weight)
                    .view(message.shape)
                    .addcmul_(of_state, _at(both, here)[..., dim:])
                )
                of_received = torch.empty_like(_at(sent, here))
                torch.mul(of_message, turned, out=of_received[..., :dim])
                torch.sum(of_message.mul_(message), -1, keepdim=True, out=of_received[..., dim:]).mul_(turned).neg_()
                _at(grad_sent, known).add_(_gather(senders[..., here, known, :].transpose(-3, -2), of_received))
        flat = gates.flatten(-3, -2)
        of_weight, of_bias = flat.mT @ messages.flatten(-3, -2), flat.sum(-2)
        of_key = (logits.flatten(-3, -2).mT @ states.flatten(-3, -2)).squeeze(-2)
        torch.mul(
            total, slope_new, out=gates[..., 2 * dim :]
        )  # the input half has the same gradient but for its last third
        return gates, None, of_key, of_weight, of_bias, None, None


def _walk(steps: list[slice], backward: bool) -> list[tuple[slice, slice | None]]:
    """Each group's nodes and the nodes that were updated before it, in the order of the sweep."""
    if backward:
        return [
            (here, slice(here.stop, steps[-1].stop) if here.stop < steps[-1].stop else None) for here in reversed(steps)
        ]
    return [(here, slice(0, here.start) if here.start else None) for here in steps]


def _at(tensor: Tensor, nodes: slice) -> Tensor:
    """Some nodes of [*, V, B, D]."""
    return tensor.narrow(-3, nodes.start, nodes.stop - nodes.start)


def _gather(weights: Tensor, values: Tensor) -> Tensor:
    """Sum over s of weights [*, R, S, B] times values [*, S, B, D]: [*, R, B, D]."""
    if (
        weights.shape[-3] * weights.shape[-2] <= 32
    ):  # a batch of such tiny products is faster by multiplying and adding up
        return (weights.unsqueeze(-1) * values.unsqueeze(-4)).sum(-3)
    return (weights.movedim(-1, -3) @ values.transpose(-3, -2)).transpose(-3, -2)
