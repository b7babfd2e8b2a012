"""What a device may be called."""

from __future__ import annotations

from archrank.datasets.errors import ArchrankError


def accelerator() -> str:
    """`cuda` where torch finds a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_device(device: str) -> str:
    """What `auto` stands for, or the device itself; ArchrankError as `check_device`."""
    if device == "auto":
        return accelerator()
    check_device(device)
    return device


def check_device(device: str) -> None:
    """ArchrankError unless it is `cpu`, or `cuda` (with a number or without) where torch finds a GPU."""
    if device.split(":")[0] == "mps":
        raise ArchrankError("device mps is not supported, since it has no double precision; use cpu")
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ArchrankError(f"unknown device '{device}': known: cpu, cuda")
    if device != "cpu" and accelerator() == "cpu":
        raise ArchrankError(f"device {device}: torch finds no GPU here; use cpu")
