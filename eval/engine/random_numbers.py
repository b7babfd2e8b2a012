"""Random numbers of training: every member's own stream, the same alone and in any ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archrank.encoders.ensembling.noise import NoiseSource


def derive_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose (63 bits), the same on every machine."""
    entropy = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


class Noise(Protocol):
    """Every member's own stream of uniform numbers in [0, 1)."""

    def fine(self, *shape: int) -> Tensor:
        """float [M, *shape], of single precision's 2^24 values."""

    def coarse(self, count: int) -> Tensor:
        """float [M, count], of at least 2^16 values."""

    def sources(self) -> list[NoiseSource]:
        """For one step a source for each member, which draws what is asked of it."""


def noise_on(device: torch.device, seeds: Sequence[int]) -> Noise:
    """The streams of members with these seeds on a device."""
    return HostNoise(seeds) if device.type == "cpu" else HashedNoise(seeds, device)


class HostNoise:
    """Streams of a CPU's generators. Dropout takes so many numbers that PyTorch's would be a tenth of a small network's
    time: coarse ones are multiples of 2^-16, four to a random word."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.streams = [torch.Generator().manual_seed(derive_seed(seed, "noise")) for seed in seeds]
        self.words = [np.random.SFC64(derive_seed(seed, "coarse noise")) for seed in seeds]

    def fine(self, *shape: int) -> Tensor:
        """See `Noise`."""
        return torch.stack([torch.rand(shape, generator=stream) for stream in self.streams])

    def coarse(self, count: int) -> Tensor:
        """See `Noise`."""
        return _uniform(np.stack([_quarters(words, count) for words in self.words])[:, :count])

    def sources(self) -> list[NoiseSource]:
        """See `Noise`; the numbers that `coarse` gives."""
        return [_Words(words) for words in self.words]


class HashedNoise:
    """Streams as hashes of a member's seed and a counter (SplitMix64, Steele et al. 2014), so that one call serves all
    members, and a captured step, which moves the counter on, draws other numbers whenever it is replayed."""

    def __init__(self, seeds: Sequence[int], device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.seeds = seeds
        self.state = torch.tensor([derive_seed(seed, "noise") for seed in seeds], device=device)

    def fine(self, *shape: int) -> Tensor:
        """See `Noise`."""
        count = math.prod(shape)
        z = torch.arange(1, count + 1, device=self.device).mul_(_GAMMA) + self.state.unsqueeze(-1)
        self.state.add_(_signed(count * _GAMMA))
        z.bitwise_xor_((z >> 30).bitwise_and_(2**34 - 1)).mul_(_MIX[0])
        z.bitwise_xor_((z >> 27).bitwise_and_(2**37 - 1)).mul_(_MIX[1])
        z.bitwise_xor_((z >> 31).bitwise_and_(2**33 - 1)).bitwise_and_(2**24 - 1)
        return z.to(torch.get_default_dtype()).mul_(2**-24).view(len(z), *shape)

    def coarse(self, count: int) -> Tensor:
        """See `Noise`."""
        return self.fine(count)

    def sources(self) -> list[NoiseSource]:
        """See `Noise`."""
        ours = [HashedNoise([seed], self.device) for seed in self.seeds]
        for number, stream in enumerate(ours):
            stream.state = self.state[number : number + 1]  # what is drawn moves this one's counter on
        return [_Hashed(stream) for stream in ours]


def _signed(number: int) -> int:
    """A 64-bit word as the signed integer of the same bits."""
    return (number + 2**63) % 2**64 - 2**63


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MIX = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


class _Words:
    """A member's coarse numbers for one step, drawn when they are taken; what is left of the last word is not used
    again."""

    def __init__(self, words: np.random.SFC64) -> None:
        self.words, self.left = words, np.empty(0, np.int16)

    def take(self, like: Tensor) -> Tensor:
        count = math.prod(like.shape)
        if count > len(self.left):
            self.left = np.concatenate([self.left, _quarters(self.words, count - len(self.left))])
        part, self.left = self.left[:count], self.left[count:]
        return _uniform(part).reshape(like.shape)


class _Hashed:
    """A member's numbers from its own hashed stream."""

    def __init__(self, stream: HashedNoise) -> None:
        self.stream = stream

    def take(self, like: Tensor) -> Tensor:
        return self.stream.fine(*like.shape)[0]


def _quarters(words: np.random.SFC64, count: int) -> NDArray[np.int16]:
    """At least `count` random numbers of 16 bits, as many as whole words of 64 hold."""
    return words.random_raw(-(-count // 4)).view(np.int16)


def _uniform(drawn: NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(drawn).to(torch.get_default_dtype()).add_(2**15).mul_(2**-16)
