"""What is handed to a trace, checked: arrays of numbers, all finite, and a network whose parameters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn


def plain(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an array of real numbers, in their own type. Raises `ArgumentError` for text, complex numbers, None and unequal rows."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    came = type(value).__name__
    try:
        found = np.asarray(value)
    except ValueError:
        raise ArgumentError(f"{name}: got rows of unequal length, expected an array of numbers") from None
    except (TypeError, RuntimeError):  # a tensor of a type that NumPy lacks, or that wants gradients, in a list
        found = np.asarray(value, dtype=object)
    if found.dtype.kind in "biuf":
        return found
    if found.dtype.kind == "O" and any(each is None for each in found.ravel()):
        raise ArgumentError(f"{name}: {'is' if not found.ndim else 'holds'} None, expected an array of numbers")
    if found.dtype.kind in "SUc":
        raise ArgumentError(f"{name}: got {'complex numbers' if found.dtype.kind == 'c' else 'text'}, expected an array of numbers")
    try:
        return found.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError(f"{name}: got {came}, expected an array of numbers") from None


def numbers(name: str, value: Any) -> npt.NDArray[np.float64]:
    """Return `value` as float64, finite throughout. Raises `ArgumentError`."""
    found: npt.NDArray[np.float64] = plain(name, value).astype(np.float64)
    if not np.isfinite(found).all():
        raise ArgumentError(f"{name}: {_first(found)}; expected finite numbers")
    return found


def input_tensor(name: str, value: Any, *, masks: bool = False) -> Tensor:
    """Return an input as a detached tensor on the CPU, whole numbers as such. With `masks` infinity is allowed, as attention masks hold it.

    Raises `ArgumentError` for what holds no numbers, none at all, NaN or infinity.
    """
    import torch

    if isinstance(value, torch.Tensor):
        found = value.detach().cpu()
        if found.is_complex():
            raise ArgumentError(f"{name}: got complex numbers, expected an array or tensor of real ones, batch first (N C H W)")
    else:
        try:
            array = plain(name, value)
        except ArgumentError as error:
            raise ArgumentError(f"{error}, or a tensor, batch first (N C H W)") from None
        found = torch.from_numpy(np.ascontiguousarray(array if array.dtype.kind in "iu" else array.astype(np.float64)))
    if not found.numel():
        raise ArgumentError(f"{name}: got shape {'x'.join(map(str, found.shape))}, which holds no numbers; give at least one sample")
    if found.is_floating_point() and not bool((~found.isnan() if masks else found.isfinite()).all()):
        raise ArgumentError(f"{name}: {_first(found.double().numpy(), infinite=not masks)}; a trace needs finite numbers")
    return found


def check_parameters(model: nn.Module) -> None:
    """Raise `ArgumentError` for a parameter without a shape (a lazy layer's) or with NaN or infinity in it."""
    import torch

    for name, parameter in model.named_parameters():
        if torch.nn.parameter.is_lazy(parameter):
            raise ArgumentError(f"model: {name} has no shape yet, for its layer is lazy; call the model once on a batch, then it has one")
        real = parameter.is_floating_point() and parameter.layout == torch.strided and not parameter.is_meta
        if real and not bool(parameter.isfinite().all()):
            raise ArgumentError(f"model: parameter {name}: {_first(parameter.detach().cpu().double().numpy())}; a trace needs finite numbers")


def _first(values: npt.NDArray[np.float64], *, infinite: bool = True) -> str:
    """Say which number is none, and where: `holds nan at (0, 1)`."""
    bad = ~np.isfinite(values) if infinite else np.isnan(values)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"holds {values[place]}" + (f" at {place}" if place else "")
