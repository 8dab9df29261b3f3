"""PCA in closed form, exact, and what it has to do with autoencoders: the linear one's best solution spans the same subspace (row E4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from striate.autoencode.building import Autoencoder, autoencoder
from striate.core.errors import ArgumentError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Principal:
    """Principal components of rows N D: `mean` D, `components` D x D (rows, orthonormal, the strongest first), `variances` D (divided by N)."""

    mean: Floats
    components: Floats
    variances: Floats

    def rebuilt(self, rows: Any, count: int) -> Floats:
        """Return rows N D projected on the first `count` components: of all subspaces the one that loses least. Raises `ArgumentError`."""
        self._known(count)
        kept = self.components[:count]
        around: Floats = (np.asarray(rows, np.float64) - self.mean) @ kept.T @ kept + self.mean
        return around

    def lost(self, count: int) -> float:
        """Return the mean squared error per number that `count` components leave on the rows they were found from: the other variances' sum / D."""
        self._known(count)
        return float(self.variances[count:].sum() / len(self.mean))

    def _known(self, count: int) -> None:
        if not 0 <= count <= len(self.mean):
            raise ArgumentError(f"count: got {count}, expected 0 to {len(self.mean)} components")


def principal(rows: Any) -> Principal:
    """Return the principal components of rows N D in float64, by the eigenvectors of their covariance. Raises `ArgumentError`."""
    x = np.asarray(rows, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ArgumentError(f"rows: got shape {x.shape}, expected N D with N of 2 or more")
    mean = x.mean(0)
    centred = x - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    return Principal(mean, np.ascontiguousarray(vectors[:, ::-1].T), np.maximum(variances[::-1], 0.0))


def principal_angles(first: Any, second: Any) -> Floats:
    """Return the angles in radians, largest first, between the subspaces that the rows of two matrices (k D, m D) span (Björck and Golub 1973)."""
    from scipy.linalg import subspace_angles

    a, b = (np.asarray(_array(m), np.float64) for m in (first, second))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ArgumentError(f"first, second: got shapes {a.shape} and {b.shape}, expected rows of one length, k D and m D")
    found: Floats = subspace_angles(a.T, b.T)
    return found


def linear_optimum(rows: Any, shape: tuple[int, int, int], code: int, *, tied: bool = True) -> Autoencoder:
    """Return the linear autoencoder that no training can beat on these rows (N D, D = C H W): its code are the first principal coordinates.

    Encoder W = V (the first `code` components), bias -V·mean; decoder Vᵀ, bias mean. Raises `ArgumentError`. Source: Baldi and Hornik 1989.
    """
    found = principal(rows)
    found._known(code)  # noqa: SLF001 - our own
    if len(found.mean) != int(np.prod(shape)):
        raise ArgumentError(f"shape: got {shape}, {int(np.prod(shape))} numbers, but the rows have {len(found.mean)}")
    model = autoencoder(shape, code=code, activation="none", output="linear", tied=tied)
    v, mean = torch.from_numpy(found.components[:code].copy()).float(), torch.from_numpy(found.mean).float()
    encode: Any = model.encoder.get_submodule("code")
    decode: Any = model.decoder.get_submodule("code_1")
    with torch.no_grad():
        encode.weight.copy_(v)
        encode.bias.copy_(-(v @ mean))
        if not tied:
            decode.weight.copy_(v.T)
        decode.bias.copy_(mean)
    return model.eval()


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
