"""Where codes lie on disk: one file a layer and pooling, under a key made of weights, pixels, preprocessing, view and precision."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.core.storage import atomic, cache_folder, digest

FORMAT = "codes 1"
OTHERS = ("torch.", "striate.")
"""Modules from here are told by what they print of themselves."""
UNUSED_DAYS = 60
"""Codes that nobody read for so long are removed when new ones are written."""


def model_fingerprint(model: nn.Module) -> str:
    """Return a digest of a model's layers and every weight and statistic; of modules of the user's own also the source of their classes."""
    parts: list[bytes | str] = [FORMAT, repr(model), repr(getattr(model, "spec", None))]
    own = [module for module in model.modules() if not type(module).__module__.startswith(OTHERS)]
    kinds = dict.fromkeys(kind for module in own for kind in type(module).__mro__)
    parts += [_source(kind) for kind in kinds if kind is not object and not kind.__module__.startswith(OTHERS)]
    parts += [repr({name: value for name, value in vars(module).items() if _plain(value) and name != "training"}) for module in own]
    for name, value in model.state_dict().items():
        parts += [name, str(value.dtype), _bytes(value)]
    return digest(*parts)


def read(key: str, at: Sequence[str]) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    """Return what is there of the layers `at`: by (layer, pooling) N D; a layer whose files are not whole is left out."""
    folder = cache_folder("codes") / key
    found: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
    for layer in at:
        paths = {kind: folder / _file(layer, kind) for kind in ("avg", "max")}
        try:
            if paths["avg"].exists():
                found |= {(layer, kind): np.load(path, allow_pickle=False) for kind, path in paths.items() if path.exists()}
        except (OSError, ValueError, EOFError):  # not whole: computed again
            paths["avg"].unlink(missing_ok=True)
    if found:
        os.utime(folder)
    return found


def write(key: str, made: Mapping[tuple[str, str], npt.NDArray[np.float32]]) -> None:
    """Keep codes; the means of a layer come last, since `read` takes their presence for the whole."""
    root = cache_folder("codes")
    _tidy(root)
    for layer, kind in sorted(made, key=lambda name: name[1], reverse=True):
        with atomic(root / key / _file(layer, kind)) as stream:
            np.save(stream, made[layer, kind], allow_pickle=False)


def _file(layer: str, kind: str) -> str:
    return f"{digest(layer)[:12]}-{kind}.npy"


def _source(kind: type) -> str:
    """Return the text of a class, or, where there is none (a notebook, a shell), what its forward pass was compiled to."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        code = getattr(kind.forward, "__code__", None) if hasattr(kind, "forward") else None
        return "" if code is None else f"{code.co_code.hex()} {code.co_names} {[each for each in code.co_consts if _plain(each)]}"


def _plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, (*value, *value.values())))
    return value is None or isinstance(value, (bool, int, float, str))


def _bytes(value: Tensor) -> bytes:
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def _tidy(root: Path) -> None:
    limit = time.time() - UNUSED_DAYS * 86400
    for folder in root.iterdir():
        try:
            if folder.is_dir() and folder.stat().st_mtime < limit:
                for file in folder.iterdir():
                    file.unlink(missing_ok=True)
                folder.rmdir()
        except OSError:  # another process was quicker, or a file is in use: it stays
            continue
