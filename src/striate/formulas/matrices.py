"""Operations as the matrices they are: convolution as one sparse matrix, dense layers as convolutions and back, Jacobians (rows O1, O6, O10)."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, array, zeros
from striate.formulas.windows import Padding, Sizes, grid


def convolution_matrix(
    weight: Numbers, size: Index, *, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1
) -> sparse.csr_array:
    """Return the matrix M whose product with one flattened input is its convolution: y.ravel() = M @ x.ravel().

    `weight` K C/groups kernel… (one or two axes), `size` that of the input, L or (H, W). M has K·out rows and C·size columns; in every row stand
    the numbers of one filter, in all rows of a filter the same ones: that is weight sharing. Its transpose gives the backward message,
    ∂x.ravel() = M.T @ δ.ravel(). A bias is added outside: one number to all rows of its filter.
    """
    weight = array("weight", weight, rank=(3, 4))
    if weight.ndim != len(size) + 2:
        raise ArgumentError(f"size: got {size}, expected {weight.ndim - 2} numbers, one for each axis the filters slide along")
    if groups < 1 or len(weight) % groups:
        raise ArgumentError(f"groups: got {groups}, expected a divisor of the {len(weight)} filters")
    windows = grid(size, weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    filters, share = weight.shape[:2]
    output, input_ = (filters, *windows.out), (share * groups, *size)
    rows, columns, values = [], [], []
    for i, u, p in windows.connections():
        for k in range(filters):
            first = k // (filters // groups) * share
            for c in range(share):
                rows.append(np.ravel_multi_index((k, *i), output))
                columns.append(np.ravel_multi_index((first + c, *p), input_))
                values.append(weight[k, c, *u])
    return sparse.csr_array((values, (rows, columns)), shape=(math.prod(output), math.prod(input_)))


def dense_as_convolution(weight: Numbers, volume: Index) -> Array:
    """Return a dense layer's weight K (C·H·W) as the filters K C H W that cover the whole `volume` (C, H, W): rearranged, nothing learnt anew."""
    weight = array("weight", weight, rank=2)
    if weight.shape[1] != math.prod(volume):
        raise ArgumentError(f"weight: got {weight.shape[1]} columns, expected {math.prod(volume)} for a volume of {volume}")
    found: Array = weight.reshape(len(weight), *volume)
    return found


def convolution_as_dense(weight: Numbers, size: Index, *, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1) -> Array:
    """Return the weight of the dense layer that computes a convolution: `convolution_matrix` with all its zeros written out."""
    found: Array = convolution_matrix(weight, size, stride=stride, padding=padding, dilation=dilation, groups=groups).toarray()
    return found


def jacobian(operation: Formula, *arrays: Numbers) -> Array:
    """Return ∂y/∂x as the matrix it is, entries of y by entries of the first input: for small cases and for looking at.

    One unit message a row. Elementwise operations have a diagonal one and never need it: `Elementwise.jacobian_vector`.
    """
    shape = operation.shape(*arrays)
    rows = []
    for place in np.ndindex(shape):
        unit = zeros(shape)
        unit[place] = 1
        back = operation.message(unit, *arrays)
        rows.append((back[0] if isinstance(back, tuple) else back).ravel())
    return np.array(rows)
