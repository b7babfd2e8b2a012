"""What a device may be called."""

from __future__ import annotations

from archrank.datasets.errors import ArchrankError


def accelerator() -> str:
    """`cuda` where torch finds a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gpus() -> int:
    """How many GPUs torch finds; those that CUDA_VISIBLE_DEVICES shows."""
    import torch

    return torch.cuda.device_count()


def chosen_device(device: str, here: bool = True) -> str:
    """What `auto` stands for, or the device itself; ArchrankError as `check_device`."""
    if device == "auto":
        return accelerator()
    check_device(device, here)
    return device


def check_device(device: str, here: bool = True) -> None:
    """ArchrankError unless it is `cpu`, or `cuda` (with a number or without) where torch finds a GPU. here: on this
    machine; else any is believed."""
    if device.split(":")[0] == "mps":
        raise ArchrankError("device mps is not supported, since it has no double precision; use cpu")
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ArchrankError(f"unknown device '{device}': known: cpu, cuda")
    if here and device != "cpu" and accelerator() == "cpu":
        raise ArchrankError(f"device {device}: torch finds no GPU here; use cpu")
