"""Pillow warns where striate answers with a `PictureError` or goes on knowingly: its warnings are held back while we decode."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MODULE = r"PIL\.(?#striate)"
_guard = threading.Lock()
_inside = 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings raised inside Pillow; safe in many threads at once (`warnings.catch_warnings` is not).

    What they would say is handled: pictures too large are refused by our own limit, broken metadata does not touch the pixels.
    """
    global _inside  # noqa: PLW0603 - warnings.filters is one list for the whole process, and so is this count
    with _guard:
        _inside += 1
        if _inside == 1:
            warnings.filterwarnings("ignore", module=_MODULE)
    try:
        yield
    finally:
        with _guard:
            _inside -= 1
            if _inside == 0:
                _remove()


def _remove() -> None:
    for entry in [entry for entry in warnings.filters if getattr(entry[3], "pattern", None) == _MODULE]:
        warnings.filters.remove(entry)  # type: ignore[attr-defined]
