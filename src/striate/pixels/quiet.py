"""Pillow on our terms while we decode: its warnings are held back, and a switch another library may have thrown is put back for the while."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MODULE = r"PIL\.(?#striate)"
_guard = threading.Lock()
_inside = 0
_lenient = False


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Ignore warnings raised inside Pillow, and let no cut-off file pass; safe in many threads at once (`warnings.catch_warnings` is not).

    What the warnings would say is handled: pictures too large are refused by our own limit, broken metadata does not touch the pixels.
    `ImageFile.LOAD_TRUNCATED_IMAGES`, which other libraries set for the whole process, would fill what is missing with grey.
    """
    global _inside, _lenient  # noqa: PLW0603 - warnings.filters and Pillow's switch are one for the whole process, and so is this count
    from PIL import ImageFile

    with _guard:
        _inside += 1
        if _inside == 1:
            warnings.filterwarnings("ignore", module=_MODULE)
            _lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        with _guard:
            _inside -= 1
            if _inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _lenient
                _remove()


def _remove() -> None:
    for entry in [entry for entry in warnings.filters if getattr(entry[3], "pattern", None) == _MODULE]:
        warnings.filters.remove(entry)  # type: ignore[attr-defined]
