"""Checks of what an encoder answers: its shape, and what must not change it."""

from __future__ import annotations

import time

import numpy as np
import torch

from archrank.eval.check.checked import CheckedEncoder, Verdict, difference

CLOSE = 1e-4


def output(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Eight architectures give eight finite vectors."""
    out = checked.encode(checked.graphs[:8])
    if out.dim() != 2 or len(out) != 8:
        return "fail", f"8 architectures gave {list(out.shape)}; [8, dim] is needed"
    return (
        "pass" if bool(out.isfinite().all()) else "fail"
    ), f"[B, {out.shape[1]}], finite: {bool(out.isfinite().all())}"


def padding(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """More padding nodes change nothing."""
    few = checked.graphs[:8]
    wide = few.pad(few.nodes + 3)
    if checked.spec.info.learned:
        apart = difference(checked.encode(few), checked.encode(wide))
        if apart > CLOSE:
            return (
                "fail",
                f"three more padding nodes change the output by {apart:.1e} of its size; mask the padding (graphs.mask)",
            )
        return "pass", f"difference {apart:.0e}"
    narrow = checked.encode(few)
    try:
        other = checked.encode(wide)
    except Exception:
        return "info", "takes graphs of the space's own size only"
    if narrow.shape != other.shape:
        return "info", f"the code grows with padding: {narrow.shape[1]} to {other.shape[1]} features"
    return "info", "invariant" if difference(narrow, other) < CLOSE else "depends on the padding"


def batch_composition(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """The others in a batch change nothing."""
    alone, together = checked.encode(checked.graphs[:4]), checked.encode(checked.graphs[:64])[:4]
    apart = difference(alone, together)
    if apart > CLOSE:
        if checked.spec.info.pretrained:
            return "info", "learned from the architectures it is given, so it depends on them"
        return "fail", f"an architecture's output changes by {apart:.1e} with the others in its batch (evaluation mode)"
    return "pass", f"difference {apart:.0e}"


def node_order(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Whether the order of nodes is seen."""
    few = checked.graphs[:64]
    order = torch.tensor([_other_order(adj.numpy(), mask.numpy()) for adj, mask in zip(few.adj, few.mask)])
    apart = difference(checked.encode(few), checked.encode(few.relabel(order)))
    return (
        "info",
        f"invariant (difference {apart:.0e})" if apart < CLOSE else f"sees the order of nodes (difference {apart:.1e})",
    )


def _other_order(adj: np.ndarray, mask: np.ndarray) -> list[int]:
    """Another topological order of a graph, as different as a greedy choice of the last ready node makes it; padding
    stays last."""
    real = [int(v) for v in np.flatnonzero(mask)]
    order: list[int] = []
    while len(order) < len(real):
        ready = [v for v in real if v not in order and all(u in order for u in np.flatnonzero(adj[:, v]))]
        order.append(ready[-1])
    return order + [v for v in range(len(mask)) if v not in real]


def asked_twice(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """Asked again, it answers the same."""
    if torch.equal(checked.encode(checked.graphs[:16]), checked.encode(checked.graphs[:16])):
        return "pass", "bit-equal"
    return (
        "fail",
        "asked twice, it answers differently; use archrank.encoders.ensembling.noise.Dropout for randomness in training, and none in evaluation",
    )


def tells_apart(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """How many architectures have a code of their own."""
    out = checked.encode(checked.graphs)
    different = len(torch.unique(out, dim=0))
    if different == 1:
        return "fail", "all architectures have one code"
    return "info", f"{different} codes for {len(out)} different cells"


def cost_of_encoding(checked: CheckedEncoder) -> tuple[Verdict, str]:
    """How many features, and how fast."""
    start = time.perf_counter()
    out = checked.encode(checked.graphs)
    return (
        "info",
        f"{out.shape[1]} features, {len(checked.graphs) / (time.perf_counter() - start):,.0f} architectures/s",
    )
