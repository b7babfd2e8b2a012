"""The sweep of `layers.sweep` in the form of few launches, for devices on which launches are what a step costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from archrank.encoders.ensembling.stacked import over_members

# Up to so many receivers a group's messages are sent back one receiver after the other.
MOST_ONE_BY_ONE = 3


@over_members
class ShortSwept(torch.autograd.Function):
    """What `Swept` computes, to rounding. States lie between -1 and 1, so that no logit is beyond the sum of the key's
    absolute values: that is kept to `limit`, where `Swept` cuts logits.

    sending [*, V, V + 1, B]: the senders and one more, whose state is 0 and whose weight is 1 where a receiver has no
    other, so that no sum is divided by 0 (`with_nobody`). It stands where a sweep begins: before all nodes, or behind
    them where `backward`.
    """

    @staticmethod
    def forward(
        half: Tensor,
        sending: Tensor,
        key: Tensor,
        weight: Tensor,
        bias: Tensor,
        steps: list[slice],
        backward: bool,
        limit: float,
    ) -> tuple[Tensor, ...]:
        """The value, and what its derivative needs."""
        lead, dim, nodes = half.shape[:-1], key.shape[-1], half.shape[-3]
        new, both, gates = (half.new_empty(*lead, width * dim) for width in (1, 2, 3))
        messages = half.new_zeros(*lead, dim)
        ones = half.new_ones(*lead[:-2], 3 * nodes + 1, lead[-1], dim + 1)
        states, heard, told = (  # states have a 1 behind each, so that times e they are told: e h and e of each node
            _at(ones, slice(*part)) for part in pairwise((0, nodes, 2 * nodes, 3 * nodes + 1))
        )
        key = torch.renorm(key.view(-1, dim), 1, 0, limit).view(key.shape)
        told.narrow(-3, nodes if backward else 0, 1)[..., :dim] = 0.0
        for here, known in walk(steps, nodes, backward):
            own, message, both_here, gates_here = (_at(part, here) for part in (half, messages, both, gates))
            state, told_here = _at(states, here)[..., :dim], _at(told, _moved(here, backward))
            if known is None:
                gates_here.copy_(bias[..., None, None, :])
            else:
                of_senders = _at(sending, here).narrow(-2, known.start, known.stop - known.start)
                total = torch.sum(of_senders.unsqueeze(-1) * _at(told, known).unsqueeze(-4), -3, out=_at(heard, here))
                torch.div(total[..., :dim], total[..., dim:], out=message)
                flat, out = message.flatten(-3, -2), gates_here.flatten(-3, -2)
                if flat.dim() == 2:
                    torch.addmm(bias, flat, weight.mT, out=out)
                else:
                    torch.baddbmm(bias.unsqueeze(-2), flat, weight.mT, out=out)
            torch.add(own[..., : 2 * dim], gates_here[..., : 2 * dim], out=both_here).sigmoid_()
            fresh = torch.addcmul(
                own[..., 2 * dim :], both_here[..., :dim], gates_here[..., 2 * dim :], out=_at(new, here)
            ).tanh_()
            torch.lerp(fresh, message, both_here[..., dim:], out=state)
            logit = (state.flatten(-3, -2) @ key.unsqueeze(-1)).exp_()
            torch.mul(_at(states, here), logit.view(*state.shape[:-1], 1), out=told_here)
        return states[..., :dim], messages, both, new, gates, told, heard, key

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, sending, _, weight, _, ctx.steps, ctx.backward_sweep, _ = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(sending, weight, *output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The derivative."""
        sending, weight, states, messages, both, new, gates, told, heard, key = ctx.saved_tensors
        dim, lead, nodes = key.shape[-1], messages.shape[:-1], messages.shape[-3]
        slopes = _slopes(both, new, gates[..., 2 * dim :], messages)
        through = torch.cat(
            [weight, torch.eye(dim, dtype=weight.dtype, device=weight.device).expand(*weight.shape[:-2], dim, dim)], -2
        )
        debit = -messages
        of_all = torch.empty_like(slopes)
        logits, grad_told = grad.new_empty(*lead, 1), torch.zeros_like(told)
        of_heard = grad.new_empty(*lead, dim + 1)
        for here, known in reversed(walk(ctx.steps, nodes, ctx.backward_sweep)):
            place = _moved(here, ctx.backward_sweep)
            of_told, told_here = _at(grad_told, place), _at(told, place)
            of_logit, of_gates = _at(logits, here), _at(of_all, here, 4)
            torch.sum(of_told * told_here, -1, keepdim=True, out=of_logit)
            of_state = torch.addcmul(_at(grad, here), of_told[..., :dim], told_here[..., dim:])
            of_state.addcmul_(of_logit, key[..., None, None, :])
            torch.mul(of_state.unsqueeze(-2), _at(slopes, here, 4), out=of_gates)
            if known is not None:
                of_message = (of_gates[..., 1:, :].flatten(-2).flatten(-3, -2) @ through).view(of_state.shape)
                given = _at(of_heard, here)
                torch.div(of_message, _at(heard, here)[..., dim:], out=given[..., :dim])
                torch.sum(given[..., :dim] * _at(debit, here), -1, keepdim=True, out=given[..., dim:])
                weights, back = (
                    _at(sending, here).narrow(-2, known.start, known.stop - known.start),
                    _at(grad_told, known),
                )
                if weights.shape[-3] > MOST_ONE_BY_ONE:
                    back.add_((weights.unsqueeze(-1) * given.unsqueeze(-3)).sum(-4))
                else:
                    for receiver in range(weights.shape[-3]):
                        back.addcmul_(weights.select(-3, receiver).unsqueeze(-1), given.narrow(-3, receiver, 1))
        flat = of_all[..., 1:4, :].flatten(-2).flatten(-3, -2)
        of_weight, of_bias = flat.mT @ messages.flatten(-3, -2), flat.sum(-2)
        of_key = (logits.flatten(-3, -2).mT @ states.flatten(-3, -2)).squeeze(-2)
        of_half = torch.cat([of_all[..., 1:3, :].flatten(-2), of_all[..., 0, :]], -1)
        return of_half, None, of_key, of_weight, of_bias, None, None, None


def with_nobody(senders: Tensor, backward: bool) -> Tensor:
    """Senders float [*, V, V, B] with the one that has no state: [*, V, V + 1, B]."""
    none = (senders.sum(-2, keepdim=True) == 0).to(senders.dtype)
    return torch.cat([senders, none] if backward else [none, senders], -2)


def _slopes(both: Tensor, new: Tensor, last: Tensor, messages: Tensor) -> Tensor:
    """Derivative of the state by the input half's last third, by the hidden half's three thirds and by the message that
    stands in for the state before [..., 5, dim]; see `gate_slopes`."""
    dim = new.shape[-1]
    reset, update = both[..., :dim], both[..., dim:]
    slopes = new.new_empty(*new.shape[:-1], 5, dim)
    by_new = torch.ops.aten.tanh_backward.grad_input(1 - update, new, grad_input=slopes[..., 0, :])
    torch.ops.aten.sigmoid_backward.grad_input(by_new * last, reset, grad_input=slopes[..., 1, :])
    torch.ops.aten.sigmoid_backward.grad_input(messages - new, update, grad_input=slopes[..., 2, :])
    torch.mul(reset, by_new, out=slopes[..., 3, :])
    slopes[..., 4, :] = update
    return slopes


def walk(steps: list[slice], nodes: int, backward: bool) -> list[tuple[slice, slice | None]]:
    """Each group's nodes, and among nodes and the sender that has no state those that were updated before it, in the
    order of the sweep; None: no node was."""
    if backward:
        return [(here, slice(here.stop, nodes + 1) if here.stop < nodes else None) for here in reversed(steps)]
    return [(here, slice(0, here.start + 1) if here.start else None) for here in steps]


def _moved(here: slice, backward: bool) -> slice:
    """Where a group's nodes stand beside the sender that has no state."""
    return here if backward else slice(here.start + 1, here.stop + 1)


def _at(tensor: Tensor, nodes: slice, from_end: int = 3) -> Tensor:
    """Some nodes of [*, V, B, D]."""
    return tensor.narrow(-from_end, nodes.start, nodes.stop - nodes.start)
