"""What every learned encoder owes: checks shared by the tests of single encoders."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from archrank.datasets.graphs import Graphs
from tests.encoders import spaces


def check_padding_and_composition(model: nn.Module, graphs: Graphs) -> None:
    """Neither more padding nor the rest of the batch changes an embedding."""
    model = model.double().eval()
    whole = model(graphs)
    assert torch.isfinite(whole).all()
    assert torch.allclose(whole[2:3], model(graphs[2:3]), atol=1e-10)
    wider = graphs.pad(graphs.nodes + 3)
    assert torch.allclose(whole, model(wider), atol=1e-10)


def check_relabelling(model: nn.Module, graphs: Graphs) -> None:
    """The order of nodes does not matter."""
    model = model.double().eval()
    assert torch.allclose(model(graphs), model(spaces.shuffled(graphs, 1)), atol=1e-10)


def check_ensemble(make, graphs: Graphs, unused: tuple[str, ...] = ()) -> None:
    """Stacked members equal each alone; gradients reach every parameter but those named in `unused`."""
    members = [make().double().train() for _ in range(3)]
    for model in members:
        for part in model.modules():
            if hasattr(part, "p"):
                part.p = 0.0
    alone = [model(graphs) for model in members]
    for model, out in zip(members, alone):
        model.zero_grad()
        out.square().sum().backward()
    fresh = [make().double().train() for _ in range(3)]
    for new, old in zip(fresh, members):
        new.load_state_dict({k: v for k, v in old.state_dict().items() if "running" not in k}, strict=False)
        for part in new.modules():
            if hasattr(part, "p"):
                part.p = 0.0
    parameters, buffers = stack_module_state(fresh)

    # As the harness does it: the members' forward passes under vmap, one backward pass through all of them.
    together = vmap(lambda p, b: functional_call(fresh[0], (p, b), (graphs,)), randomness="different")(
        parameters, buffers
    )
    used = torch.autograd.grad(together.square().sum(), list(parameters.values()), allow_unused=True)
    grads = dict(zip(parameters, used))
    for i, (model, out) in enumerate(zip(members, alone)):
        assert torch.allclose(together[i], out, atol=1e-9)
        for name, parameter in model.named_parameters():
            if any(word in name for word in unused):
                continue
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
            assert torch.allclose(grads[name][i], parameter.grad, atol=1e-7, rtol=1e-6), name
