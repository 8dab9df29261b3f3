"""The run's data opened again, so that a report can show pictures; when that is not possible, the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import StriateError
from striate.reports.stored import StoredRun


def reopen(run: StoredRun, live: Any = None) -> Any | str:
    """Return the run's data set with the parts it was trained and measured on, or a sentence that says why it cannot be had.

    `live` is the data set itself where the caller has it at hand; else it is opened from what run.json says. Changed data is refused.
    """
    from striate.training.description import data_of

    spec = run.part("data").get("spec")
    if live is None and not isinstance(spec, str):
        return "The data came from memory, and the run does not know where to find it again."
    try:
        data = data_of(run.facts) if live is None else live
        wanted = run.part("data").get("fingerprint")
        if wanted and getattr(data, "fingerprint", wanted) != wanted:
            return f"{spec or 'The data'} has changed since the run: its fingerprint differs."
    except (StriateError, OSError, ValueError, TypeError, KeyError) as error:
        return f"The data cannot be opened again: {str(error).strip() or type(error).__name__}"
    return data


def pictures_of(data: Any | str, split: str, indices: Sequence[int]) -> list[npt.NDArray[np.uint8]] | str:
    """Return pictures H W C uint8 of one split of what `reopen` gave, or a sentence that says why they cannot be shown."""
    if isinstance(data, str):
        return f"The pictures are not shown. {data}"
    try:
        return [_as_picture(picture) for picture in data.pictures(split, list(indices))]
    except (StriateError, OSError, IndexError, AttributeError) as error:
        return f"The pictures are not shown. {str(error).strip() or type(error).__name__}"


def _as_picture(picture: Any) -> npt.NDArray[np.uint8]:
    """Grey or colour, H W C: of other numbers of channels the mean is shown."""
    array = np.asarray(picture)
    array = array[..., None] if array.ndim == 2 else array
    return (array if array.shape[2] in (1, 3) else array.mean(axis=2, keepdims=True)).astype(np.uint8)
