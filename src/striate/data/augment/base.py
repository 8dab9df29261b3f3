"""What an augmentation is, and the random numbers it draws: for the whole global batch, handed out for this rank's rows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch
from torch import Tensor

from striate.core.runtime import derived_seed, generator

if TYPE_CHECKING:
    from striate.data.stores import Store


class Draw:
    """Random numbers of one step: functions of (seed, epoch, step) and of which augmentation asks, whatever the rank.

    Every method draws for all `size` rows of the global batch and returns those of `rows`, on `device`.
    """

    def __init__(self, seed: int, epoch: int, step: int, *, index: Tensor, size: int, first: int = 0, device: str = "cpu") -> None:
        self.seed, self.epoch, self.step = seed, epoch, step
        self.index, self.size, self.first, self.device = index, size, first, device
        self.salt = 0
        self._generator: torch.Generator | None = None

    def part(self, position: int) -> Draw:
        """Return the draw of the augmentation at `position` in the list: its numbers do not depend on what others drew."""
        other = copy.copy(self)
        other.salt, other._generator = position + 1, None  # noqa: SLF001 - our own copy
        return other

    @property
    def generator(self) -> torch.Generator:
        """The generator behind all numbers; lives on the CPU, so every device sees the same ones."""
        if self._generator is None:
            self._generator = generator(self.seed, self.epoch, self.step, self.salt)
        return self._generator

    def mine(self, values: Tensor) -> Tensor:
        """Return this rank's rows of `values` (first axis: the global batch), on the device."""
        return values[self.first : self.first + len(self.index)].to(self.device, non_blocking=True)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from `low` up to and with `high`, int64."""
        return self.mine(torch.randint(low, high + 1, (self.size, *shape), generator=self.generator))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between `low` and `high`, float32."""
        return self.mine(torch.rand((self.size, *shape), generator=self.generator) * (high - low) + low)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32."""
        return self.mine(torch.randn((self.size, *shape), generator=self.generator))

    def beta(self, alpha: float) -> Tensor:
        """Numbers between 0 and 1 with the density of Beta(alpha, alpha), float32."""
        numbers = np.random.Generator(np.random.PCG64(derived_seed(self.seed, self.epoch, self.step, self.salt, 1)))
        return self.mine(torch.from_numpy(numbers.beta(alpha, alpha, self.size).astype(np.float32)))

    def permutation(self) -> Tensor:
        """The rows of the global batch in random order, int64; only for augmentations that mix, which are given the whole global batch."""
        return self.mine(torch.randperm(self.size, generator=self.generator))

    def coins(self, chance: float = 0.5) -> Tensor:
        """True with probability `chance`, bool."""
        return self.mine(torch.rand(self.size, generator=self.generator) < chance)

    def sample_coins(self) -> Tensor:
        """A fair coin per sample, bool: the same in every epoch, a function of the seed and the sample's index."""
        return (_mixed(self.index ^ (derived_seed(self.seed, self.salt) >> 1)) & 1).bool().to(self.device, non_blocking=True)


class Augmentation:
    """Changes a batch of pictures at random. Subclasses are constructed by a registered function of the same file.

    `stage` says when: on pixels (uint8, or float as the store has them; uint8 kept as long as possible) or on the standardised input.
    `places` is true when things move in the picture (boxes would have to follow), `mixes` when rows of the global batch see each other.
    """

    stage: Literal["pixels", "input"] = "pixels"
    places = False
    mixes = False

    def fitted(self, store: Store) -> Self:  # noqa: ARG002 - most learn nothing
        """Return a copy that has learned what it needs from the training split."""
        return self

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the changed pictures, N C H W; the given tensor is not written to."""
        raise NotImplementedError

    def motion(self, draw: Draw, size: tuple[int, int]) -> Tensor:
        """Return where things go, N 2 3: an input point (x, y, 1) in pixels of a picture of `size` H W goes to motion @ point.

        Asked only of augmentations with `places`, and with a fresh draw: it must draw what `__call__` draws, in the same order.
        """
        raise NotImplementedError

    def mix(self, x: Tensor, y: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return mixed inputs and class shares (N K); only asked of augmentations that mix."""
        raise NotImplementedError


def rows_last(x: Tensor) -> Tensor:
    """Return N C H W as contiguous N H W C; free when `x` is laid out channels last or has one channel."""
    return x.permute(0, 2, 3, 1).contiguous()


def scaled_and_moved(across: Tensor, down: Tensor, right: Tensor, below: Tensor) -> Tensor:
    """Return the motions N 2 3 that take (x, y) to (across x + right, down y + below); each argument N."""
    zero = torch.zeros_like(across)
    return torch.stack([torch.stack([across, zero, right], 1), torch.stack([zero, down, below], 1)], 1)


def unit(x: Tensor) -> Tensor:
    """Return pixels as floats: uint8 as shares of 1, floats as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def _mixed(values: Tensor) -> Tensor:
    """Scramble int64 numbers (splitmix64's finaliser with masked shifts)."""

    def shifted(x: Tensor, by: int) -> Tensor:
        return (x >> by) & ((1 << (64 - by)) - 1)

    x = values + -0x61C8864680B583EB
    x = (x ^ shifted(x, 30)) * -0x40A7B892E31B1A47
    x = (x ^ shifted(x, 27)) * -0x6B2FB644ECCEEE15
    return x ^ shifted(x, 31)
