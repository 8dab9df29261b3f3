"""Small filters by name: identity, sharpen, box and Gaussian blur, edges, Sobel, Laplacian of Gaussian, Gabor (row C filter-banks)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, unknown_name

Kernel = npt.NDArray[np.float64]
BLUR = np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
SOBEL = np.array([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 4


def gaussian(sigma: float = 1.0, *, order: tuple[int, int] = (0, 0)) -> Kernel:
    """Return a Gaussian, or its derivative of `order` (rows, columns), cut at 4 deviations: what `scipy.ndimage.gaussian_filter` convolves with."""
    from scipy import ndimage

    radius = int(4 * sigma + 0.5)
    point = np.zeros((2 * radius + 1, 2 * radius + 1))
    point[radius, radius] = 1
    return np.asarray(ndimage.gaussian_filter(point, sigma, order=order, mode="constant"))


def laplacian_of_gaussian(sigma: float = 1.0) -> Kernel:
    """Return the Laplacian of a Gaussian, its mean taken off, so that flat regions give 0 (Marr and Hildreth 1980)."""
    kernel = gaussian(sigma, order=(2, 0)) + gaussian(sigma, order=(0, 2))
    centred: Kernel = kernel - kernel.mean()
    return centred


def gabor(frequency: float, turn: float, *, bandwidth: float = 1.0) -> npt.NDArray[np.complex128]:
    """Return a Gabor filter, even part real and odd part imaginary (scikit-image's): `frequency` in cycles a pixel, `turn` in radians.

    The mean of the even part is taken off, so that brightness does not answer.
    """
    from skimage.filters import gabor_kernel

    kernel = np.asarray(gabor_kernel(frequency, theta=turn, bandwidth=bandwidth), dtype=np.complex128)  # type: ignore[no-untyped-call]
    envelope = np.abs(kernel)
    centred: npt.NDArray[np.complex128] = kernel - envelope * (kernel.real.sum() / envelope.sum())
    return centred


KERNELS: dict[str, Callable[[], Kernel]] = {
    "identity": lambda: np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "sharpen": lambda: np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "box-blur": lambda: np.full((3, 3), 1 / 9),
    "gaussian-blur": BLUR.copy,
    "edge-diagonal": lambda: np.array([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]]),
    "edge-cross": lambda: np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "edge-all": lambda: np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sobel-rows": SOBEL.copy,
    "sobel-columns": SOBEL.T.copy,
    "laplacian-of-gaussian": lambda: laplacian_of_gaussian(1.0),
    "gabor-0": lambda: gabor(0.25, 0.0).real,
    "gabor-45": lambda: gabor(0.25, np.pi / 4).real,
    "gabor-90": lambda: gabor(0.25, np.pi / 2).real,
    "gabor-135": lambda: gabor(0.25, 3 * np.pi / 4).real,
}
"""Each name's filter; made when asked for, since the last ones need SciPy and scikit-image."""


def kernel(name: str) -> Kernel:
    """Return the filter called `name`, h w float64; raises `UnknownNameError` with the nearest names."""
    if name not in KERNELS:
        raise unknown_name("filter", name, KERNELS)
    return KERNELS[name]()


def filtered(pictures: npt.NDArray[Any], kernels: Sequence[Kernel]) -> npt.NDArray[np.float32]:
    """Slide each filter over each picture, N H W to N K H W, as `scipy.ndimage.correlate(mode="reflect")` does; float32.

    Filters are turned by nobody: the first value stands top left. Raises `ArgumentError` for a filter of even size.
    """
    import torch
    from torch.nn import functional

    for number, one in enumerate(kernels):
        if one.ndim != 2 or one.shape[0] % 2 == 0 or one.shape[1] % 2 == 0:
            raise ArgumentError(f"kernels: filter {number} is {' x '.join(map(str, one.shape))}; its sides must be odd, so that it has a centre")
    reach = [max(one.shape[axis] // 2 for one in kernels) for axis in (0, 1)]
    bank = np.zeros((len(kernels), 1, 2 * reach[0] + 1, 2 * reach[1] + 1), dtype=np.float32)
    for place, one in zip(bank[:, 0], kernels, strict=True):
        off = reach[0] - one.shape[0] // 2, reach[1] - one.shape[1] // 2
        place[off[0] : off[0] + one.shape[0], off[1] : off[1] + one.shape[1]] = one
    padded = np.pad(np.asarray(pictures, np.float32), ((0, 0), (reach[0],) * 2, (reach[1],) * 2), mode="symmetric")
    with torch.inference_mode():
        return np.asarray(functional.conv2d(torch.from_numpy(padded)[:, None], torch.from_numpy(bank)).numpy())


def pooled(maps: npt.NDArray[Any], cells: int, *, how: str = "mean") -> npt.NDArray[Any]:
    """Return maps N K H W averaged (or their largest, `how="max"`) over `cells` x `cells` nearly equal regions, N K cells cells."""
    height, width = maps.shape[2:]
    rows, columns = min(cells, height), min(cells, width)
    tops, lefts = (np.arange(rows) * height) // rows, (np.arange(columns) * width) // columns
    if how == "max":
        return np.asarray(np.maximum.reduceat(np.maximum.reduceat(maps, tops, axis=2), lefts, axis=3))
    summed = np.add.reduceat(np.add.reduceat(maps, tops, axis=2, dtype=np.float32), lefts, axis=3)
    areas = np.outer(np.diff([*tops, height]), np.diff([*lefts, width]))
    return np.asarray(summed / areas)
