"""Pictures as other numbers, better to climb in: pixels, Fourier coefficients, several resolutions; colours freed of their correlation (row U4).

A parametrisation has no state: `pixels(parameters)` is the picture N C H W in (0, 1), differentiable; `parameters(pixels)` its inverse;
`noise(generator, contrast)` the parameters of one random picture. Between the two lies a field of unbounded values: pixels = sigmoid(colour(field)).
Sources: Olah, Mordvintsev, Schubert 2017 (Fourier, decorrelated colour); the covariance is measured here, on CIFAR-10's training pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.core.errors import ArgumentError, unknown_name

Kind = Literal["pixels", "fourier", "multiresolution"]
Colour = Literal["decorrelated", "plain"]
COVARIANCE = ((2.000, 1.810, 1.740), (1.810, 1.940, 1.948), (1.740, 1.948, 2.323))
"""Of the red, green and blue of a pixel, as log odds (pixels held within .02 and .98), over the first 10,000 training pictures of CIFAR-10."""
EDGE = 1e-4
"""How near to black and white a picture may start: there the sigmoid is flat."""


class Parametrisation(ABC):
    """How pictures of one shape C H W are written as parameters; `colour` decorrelated only changes pictures of three channels."""

    def __init__(self, shape: tuple[int, int, int], *, colour: Colour = "decorrelated", like: Tensor | None = None) -> None:
        if len(shape) != 3 or min(shape) < 1:
            raise ArgumentError(f"shape: got {shape}, expected C H W, each 1 or more")
        if colour not in ("decorrelated", "plain"):
            raise unknown_name("colour", colour, ("decorrelated", "plain"))
        self.shape = shape
        self.like = torch.zeros(()) if like is None else torch.zeros_like(like[:0]).sum()
        matrix = colour_matrix() if colour == "decorrelated" and shape[0] == 3 else torch.eye(shape[0], dtype=torch.float64)
        self._mix, self._unmix = matrix.to(self.like), torch.linalg.inv(matrix).to(self.like)

    def pixels(self, parameters: Sequence[Tensor]) -> Tensor:
        """Return the pictures N C H W in (0, 1) that the parameters stand for."""
        return _mixed(self._mix, self._field(parameters)).sigmoid()

    def parameters(self, pixels: Tensor) -> list[Tensor]:
        """Return the parameters of pictures N C H W in [0, 1]; black and white are moved inwards by `EDGE`."""
        odds = torch.logit(pixels.detach().to(self.like).clamp(EDGE, 1 - EDGE))
        return self._parameters(_mixed(self._unmix, odds))

    @abstractmethod
    def noise(self, generator: torch.Generator, contrast: float) -> list[Tensor]:
        """Return the parameters of one random picture whose field has about the standard deviation `contrast`."""

    @abstractmethod
    def _field(self, parameters: Sequence[Tensor]) -> Tensor: ...

    @abstractmethod
    def _parameters(self, field: Tensor) -> list[Tensor]: ...

    def _random(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.randn(1, self.shape[0], *shape, generator=generator).to(self.like)


class Pixels(Parametrisation):
    """Every pixel on its own."""

    def noise(self, generator: torch.Generator, contrast: float) -> list[Tensor]:
        """White noise."""
        return [contrast * self._random(generator, *self.shape[1:])]

    def _field(self, parameters: Sequence[Tensor]) -> Tensor:
        return parameters[0]

    def _parameters(self, field: Tensor) -> list[Tensor]:
        return [field]


class Fourier(Parametrisation):
    """Fourier coefficients, each scaled by 1 over its frequency: then all are about as large as each other in a photograph.

    One parameter N C H (W // 2 + 1) 2, the real and the imaginary part last. Of standard deviation 1 they give a field of standard deviation 1.
    """

    def __init__(self, shape: tuple[int, int, int], *, colour: Colour = "decorrelated", like: Tensor | None = None) -> None:
        super().__init__(shape, colour=colour, like=like)
        height, width = shape[1:]
        down = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
        across = torch.fft.rfftfreq(width, dtype=torch.float64)[None]
        scale = 1 / torch.hypot(down, across).clamp(min=1 / max(height, width))
        twice = torch.full_like(across, 2.0)  # each stands for its mirror image too, but for the first column and, in even widths, the last
        twice[0, 0] = 1
        if width % 2 == 0:
            twice[0, -1] = 1
        self._scale = (scale / (2 * scale.square() * twice).sum().mul(1 / (height * width)).sqrt()).to(self.like)

    def noise(self, generator: torch.Generator, contrast: float) -> list[Tensor]:
        """Noise with a photograph's spectrum."""
        return [contrast * self._random(generator, *self._scale.shape, 2)]

    def _field(self, parameters: Sequence[Tensor]) -> Tensor:
        spectrum = torch.view_as_complex(parameters[0].contiguous()) * self._scale
        field: Tensor = torch.fft.irfft2(spectrum, s=self.shape[1:], norm="ortho")
        return field

    def _parameters(self, field: Tensor) -> list[Tensor]:
        return [torch.view_as_real(torch.fft.rfft2(field, norm="ortho") / self._scale).contiguous()]


class MultiResolution(Parametrisation):
    """A sum of pictures of halving size, enlarged smoothly: the coarse ones move large areas at once."""

    def __init__(self, shape: tuple[int, int, int], *, colour: Colour = "decorrelated", like: Tensor | None = None) -> None:
        super().__init__(shape, colour=colour, like=like)
        sizes = [(shape[1], shape[2])]
        while min(sizes[-1]) >= 8:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        self.sizes = tuple(reversed(sizes))
        """H W of each level, coarse to fine."""

    def noise(self, generator: torch.Generator, contrast: float) -> list[Tensor]:
        """Noise of the same strength at every level."""
        return [contrast / len(self.sizes) ** 0.5 * self._random(generator, *size) for size in self.sizes]

    def _field(self, parameters: Sequence[Tensor]) -> Tensor:
        field = parameters[0]
        for finer in parameters[1:]:
            field = _enlarged(field, finer) + finer
        return field

    def _parameters(self, field: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        so_far: Tensor | None = None
        for size in self.sizes:
            wanted = F.adaptive_avg_pool2d(field, size)
            found.append(wanted if so_far is None else wanted - _enlarged(so_far, wanted))
            so_far = wanted
        return found


def parametrisation(kind: Kind, shape: tuple[int, int, int], *, colour: Colour = "decorrelated", like: Tensor | None = None) -> Parametrisation:
    """Return a parametrisation by name for pictures C H W, on the device and in the type of `like`. Raises `UnknownNameError`."""
    kinds: dict[str, type[Parametrisation]] = {"pixels": Pixels, "fourier": Fourier, "multiresolution": MultiResolution}
    if kind not in kinds:
        raise unknown_name("parametrisation", kind, kinds)
    return kinds[kind](shape, colour=colour, like=like)


def colour_matrix() -> Tensor:
    """Return the 3 x 3 float64 matrix from independent components to red, green and blue: brightness first, at length 1."""
    values, axes = torch.linalg.eigh(torch.tensor(COVARIANCE, dtype=torch.float64))
    order = values.argsort(descending=True)
    values, axes = values[order], axes[:, order]
    signs = torch.where(axes.sum(0) < 0, -1.0, 1.0)  # eigenvectors have no sign of their own: more is brighter
    matrix: Tensor = axes * signs * (values / values[0]).sqrt()
    return matrix


def _mixed(matrix: Tensor, field: Tensor) -> Tensor:
    mixed: Tensor = torch.einsum("ij,njhw->nihw", matrix, field)
    return mixed


def _enlarged(field: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(field, size=like.shape[-2:], mode="bilinear", align_corners=False)
