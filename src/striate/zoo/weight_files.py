"""Read a file of weights: its tensors and what striate wrote beside them, or in one sentence what the file is instead and what to do."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from striate.core.errors import StorageError, nearest
from striate.core.tensors import FORMAT

ENDINGS = (".safetensors", ".pth", ".pt")
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the state dict, beside epoch and optimiser."""
LISTED = 5
AGAIN = "Fetch or copy it again"


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a `.safetensors`, `.pth` or `.pt` file by name, on the CPU, and the facts that striate wrote beside them.

    A `.pth` file holds a state dict, alone or under one of `WRAPPERS`; no other pickled thing is loaded. Raises `StorageError`.
    """
    if not path.is_file():
        raise StorageError(_absent(path))
    if path.suffix not in ENDINGS:
        raise StorageError(f"{path}: cannot tell the format of {path.suffix or 'a file without suffix'}; expected .safetensors, .pth or .pt")
    return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickled(path), {})


def without_prefix(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefix that data-parallel training or compiling puts before every name."""
    for prefix in ("module.", "_orig_mod."):
        if found and all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def _absent(path: Path) -> str:
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.suffix in ENDINGS)[:LISTED]
        return f"{path}: is a folder; give a file" + (f" in it, such as {' or '.join(inside)}" if inside else ", it holds no .safetensors or .pth")
    close = nearest(path.name, (each.name for each in path.parent.iterdir())) if path.parent.is_dir() else []
    return f"{path}: no such file." + (f" Did you mean {' or '.join(close)}?" if close else " Give the path of a .safetensors or .pth file")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, ties written once restored, and the facts striate puts beside them."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the handle is no mapping
            text = (file.metadata() or {}).get("striate", "{}")
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: is not a whole safetensors file ({error}). {AGAIN}") from error
    try:
        note = json.loads(text)
    except ValueError as error:
        raise StorageError(f"{path}: the note striate keeps beside the tensors is no JSON ({error}). {AGAIN}") from error
    ties, facts = (note.get("ties", {}), note.get("facts", {})) if isinstance(note, dict) else (None, None)
    if not isinstance(ties, dict) or not isinstance(facts, dict):
        raise StorageError(f"{path}: the note striate keeps beside the tensors is not the mapping that striate writes. {AGAIN}")
    if (form := note.get("format", FORMAT)) != FORMAT:
        raise StorageError(
            f"{path}: its format is {form!r}, this striate reads {FORMAT}: a newer striate wrote it, or it was changed; upgrade striate"
        )
    for name, original in ties.items():
        if not isinstance(original, str) or original not in tensors:
            raise StorageError(f"{path}: {name} is noted as a copy of {original!r}, which is not in the file. {AGAIN}")
        tensors[name] = tensors[original]
    return tensors, facts


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own doubts about a file are told by `_instead`
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever bytes make torch raise
        raise StorageError(f"{path}: is not a file of plain tensors: {_instead(path, error)}") from error
    where = ""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content, where = content[wrapper], f" under {wrapper!r}"
    if not isinstance(content, Mapping):
        raise StorageError(f"{path}: holds {_kind(content)}, expected a state dict: names and tensors. Save model.state_dict()")
    wrong = [key for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor) or value.is_nested]
    if wrong:
        told = ", ".join(f"{key!r} ({_kind(content[key]) if isinstance(key, str) else f'the key is {_kind(key)}'})" for key in wrong[:LISTED])
        more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise StorageError(f"{path}: holds more{where} than names and tensors, expected a state dict: {told}{more}. Save model.state_dict() alone")
    if not content:
        raise StorageError(f"{path}: holds an empty mapping{where}, expected a state dict: names and tensors. Save model.state_dict()")
    return dict(content)


def _instead(path: Path, error: Exception) -> str:
    """Say what a file is that torch cannot load as plain tensors, and what to do: torch's own advice is to trust it, in many lines."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
        names = zipfile.ZipFile(path).namelist() if head.startswith(b"PK") else []
    except zipfile.BadZipFile:
        return f"it is cut off or damaged. {AGAIN}"
    except OSError as failed:
        return f"it cannot be read ({failed.strerror})"
    unknown = re.search(r"GLOBAL ([\w.]+)", str(error))
    if not head:
        return f"it is empty. {AGAIN}"
    if head[8:9] == b"{" and head[6:8] == b"\0\0":
        return f"it is a safetensors file under another name. Rename it to {path.stem}.safetensors"
    if any(re.search(r"(^|/)(constants[.]pkl|code/)", name) for name in names):
        return "it is a TorchScript archive. If you trust it, torch.save(torch.jit.load(path).state_dict(), 'weights.pth') saves its tensors"
    if unknown and unknown[1].startswith("numpy."):
        return f"it holds NumPy values ({unknown[1]}), which are not loaded. Save tensors (torch.from_numpy), best model.state_dict() alone"
    if unknown:
        return (
            f"it holds Python objects ({unknown[1]}; a whole model, or a training script's settings), which are not loaded, for they can run code. "
            f"Save model.state_dict() alone, where the file was made"
        )
    if names:
        return "it is a zip archive that torch.save did not write. Save model.state_dict() with torch.save"
    if head.startswith(b"\x93NUMPY"):
        return "it is a NumPy array. Save model.state_dict() with torch.save"
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return f"it is text that begins {head[:24].decode()!r}. Give the file that torch.save wrote"
    return "it is damaged, or torch.save did not write it. Save model.state_dict() with torch.save, or fetch the file again"


def _kind(value: object) -> str:
    """Return `a dict`, `an int`."""
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
