"""Named tensors in one file: safetensors plus JSON facts, written atomically; memory formats and ties come back as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import StorageError
from striate.core.storage import atomic

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Version of the layout below; a reader refuses newer ones."""


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write `tensors` and JSON `facts` to `path` in one atomic step.

    safetensors itself takes neither channels_last nor tied tensors: they are written contiguous and once, with a note of how they were.
    """
    import torch
    from safetensors.torch import save

    plain: dict[str, Tensor] = {}
    ties: dict[str, str] = {}
    channels_last: list[str] = []
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        value = tensor.detach()
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and place in seen:
            ties[name] = seen[place]
            continue
        seen[place] = name
        if value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last):
            channels_last.append(name)
        plain[name] = value.to("cpu", copy=True).contiguous()
    note = {"format": FORMAT, "ties": ties, "channels_last": channels_last, "facts": dict(facts or {})}
    with atomic(path) as stream:
        stream.write(save(plain, metadata={"striate": json.dumps(note)}))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read back what `save_tensors` wrote: (tensors on the CPU, facts). Raises `StorageError` that names the file."""
    import torch
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise StorageError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="pt") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: not a readable safetensors file ({error})") from None
    note = json.loads(metadata.get("striate", "{}"))
    if note.get("format", FORMAT) > FORMAT:
        raise StorageError(f"{path}: written by a newer striate (format {note['format']}, this one reads up to {FORMAT}); upgrade striate")
    for name in note.get("channels_last", ()):
        tensors[name] = tensors[name].contiguous(memory_format=torch.channels_last)
    for name, original in note.get("ties", {}).items():
        tensors[name] = tensors[original]
    return tensors, note.get("facts", {})
