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


WHOLE = 4096
"""Pictures or numbers a picture, whichever are fewer, up to which all components are found though fewer are asked for: within a minute."""


@dataclass(frozen=True)
class Principal:
    """Principal components of rows N D: `mean` D, `components` K x D (rows, orthonormal, the strongest first), `variances` K (divided by N).

    K is D, or the rank of the centred rows, at most N - 1, where N is not above D; or fewer, where fewer were asked for.
    """

    mean: Floats
    components: Floats
    variances: Floats
    rest: float = 0.0
    """The sum of the variances along all further directions."""

    def rebuilt(self, rows: Any, count: int) -> Floats:
        """Return rows N D projected on the first `count` components: of all subspaces the one that loses least. Raises `ArgumentError`."""
        self._known(count)
        kept = self.components[:count]
        around: Floats = (np.asarray(rows, np.float64) - self.mean) @ kept.T @ kept + self.mean
        return around

    def lost(self, count: int) -> float:
        """Return the mean squared error per number that `count` components leave on the rows they were found from: the other variances' sum / D."""
        self._known(count)
        return float((self.variances[count:].sum() + self.rest) / len(self.mean))

    def _known(self, count: int) -> None:
        if not 0 <= count <= len(self.components):
            raise ArgumentError(f"count: got {count}, expected 0 to {len(self.components)} components")


def principal(rows: Any, count: int | None = None) -> Principal:
    """Return the principal components of rows N D in float64: all there are, or at least the `count` strongest of them.

    Exact: by the eigenvectors of the covariance D x D, or of the products N x N of the rows where N is not above D. Where both are above `WHOLE` and
    `count` is at most a quarter of the smaller, by a seeded randomised decomposition in memory of about the rows' own. Raises `ArgumentError`.
    Sources: Sirovich and Kirby 1987 (N x N); Halko, Martinsson and Tropp 2011 (randomised).
    """
    x = np.array(rows, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ArgumentError(f"rows: got shape {x.shape}, expected N D with N of 2 or more")
    if count is not None and count < 0:
        raise ArgumentError(f"count: got {count}, expected how many components are needed, 0 or more")
    mean = x.mean(0)
    x -= mean
    if count is not None and min(x.shape) > WHOLE and 4 * count <= min(x.shape):
        return _randomised(x, mean, max(count, 1))
    if x.shape[1] < len(x):
        variances, vectors = np.linalg.eigh(x.T @ x / len(x))
        return Principal(mean, np.ascontiguousarray(vectors[:, ::-1].T), np.maximum(variances[::-1], 0.0))
    return _by_products(x, mean, len(x) - 1 if count is None else min(count, len(x) - 1))


def _by_products(x: Floats, mean: Floats, count: int) -> Principal:
    """Return at most `count` components of centred rows N D from x xᵀ: its eigenvectors u and values v give the components xᵀu / sqrt(v)."""
    from scipy.linalg import cholesky, eigh, solve_triangular

    n, width = x.shape
    products = x @ x.T
    values, vectors = eigh(products, subset_by_index=None if count == n - 1 else [n - max(count, 1), n - 1])
    rounding = 100 * max(n, width) * np.finfo(np.float64).eps * values[-1]  # rows that repeat, or nearly, add no direction
    kept = min(count, int((values > rounding).sum()))
    variances, vectors = values[::-1][:kept] / n, vectors[:, ::-1][:, :kept]
    found = (vectors / np.sqrt(variances * n)).T @ x
    if kept:  # weak components come out less orthogonal than strong ones
        found = solve_triangular(cholesky(found @ found.T, lower=True), found, lower=True)
    return Principal(mean, found, variances, _rest(x, variances) if kept == count < n - 1 else 0.0)


def _randomised(x: Floats, mean: Floats, count: int) -> Principal:
    from sklearn.utils.extmath import randomized_svd

    _, sizes, components = randomized_svd(x, count, n_oversamples=max(10, count // 5), n_iter=7, random_state=0)
    variances = sizes**2 / len(x)
    return Principal(mean, components, variances, _rest(x, variances))


def _rest(x: Floats, variances: Floats) -> float:
    return max(0.0, float(np.vdot(x, x)) / len(x) - float(variances.sum()))


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

    Encoder W = V (the first `code` components), bias -V·mean; decoder Vᵀ, bias mean. Where the rows have fewer components, the code's other numbers
    stay 0. Raises `ArgumentError`. Source: Baldi and Hornik 1989.
    """
    found = principal(rows)
    if not 1 <= code <= len(found.mean):
        raise ArgumentError(f"code: got {code}, expected 1 to {len(found.mean)}, the numbers of a row")
    if len(found.mean) != int(np.prod(shape)):
        raise ArgumentError(f"shape: got {shape}, {int(np.prod(shape))} numbers, but the rows have {len(found.mean)}")
    model = autoencoder(shape, code=code, activation="none", output="linear", tied=tied)
    strongest = found.components[:code]
    v = torch.from_numpy(np.pad(strongest, ((0, code - len(strongest)), (0, 0)))).float()
    mean = torch.from_numpy(found.mean).float()
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
