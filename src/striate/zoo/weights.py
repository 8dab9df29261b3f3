"""Load published or own weights into a network: everything fits, or nothing is changed and the misfits are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from striate.core.errors import StorageError, nearest

LISTED = 8
"""How many keys of one kind an error lists before it only counts the rest."""


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` did: how many tensors came in, which head was left fresh, and each thing worth knowing in words."""

    path: Path
    tensors: int
    fresh: tuple[str, ...]
    """Modules that kept their own initial values because the file has another number of classes."""
    notes: tuple[str, ...]


def load_weights(model: nn.Module, path: str | Path) -> Loaded:
    """Copy the tensors of a `.safetensors`, `.pth` or `.pt` file (a state dict, never other pickled things) into `model`.

    Numbers are converted to the model's precision. A head for another number of classes keeps its fresh values and is named in the result;
    any other missing, unexpected or misshaped key raises `StorageError` listing all of them, and the model stays as it was.
    """
    path = Path(path)
    found = _without_prefix(_read(path))
    wanted = model.state_dict()
    notes = [f"{path.name}: {len(found)} tensors"]
    heads = _heads(wanted, found)
    for head, (have, want) in heads.items():
        notes.append(f"{head} is for {have} classes in the file and {want} here: it keeps its fresh values and needs training")
    counters = {key for key in wanted if key.endswith("num_batches_tracked")} - set(found)  # files older than this counter lack it
    skipped = {key for key in wanted if key.rpartition(".")[0] in heads} | counters
    _fit(path, wanted, found, skipped)
    taken = [key for key in wanted if key not in skipped]
    with torch.no_grad():
        for key in taken:
            wanted[key].copy_(found[key])
    return Loaded(path, len(taken), tuple(heads), tuple(notes))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        close = nearest(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else []
        raise StorageError(
            f"{path}: no such file." + (f" Did you mean {' or '.join(close)}?" if close else " Give the path of a .safetensors or .pth file")
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in (".pth", ".pt"):
        raise StorageError(f"{path}: cannot tell the format of {path.suffix or 'a file without suffix'}; expected .safetensors, .pth or .pt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise StorageError(
            f"{path}: is not a file of plain tensors ({str(error).splitlines()[0]}). Save the model's state_dict, best as .safetensors"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise StorageError(f"{path}: holds {type(content).__name__}, expected a state dict: names and tensors")
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the handle is no mapping
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: is not a whole safetensors file ({error}). Fetch or copy it again") from error


def _without_prefix(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefix that data-parallel training or compiling puts before every name."""
    for prefix in ("module.", "_orig_mod."):
        if found and all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def _heads(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Return the modules whose tensors differ in the number of classes and in nothing else: path -> (in the file, here).

    Only a network's last module with weights is its head; anything misshaped before it is a misfit.
    """
    modules = [key.rpartition(".")[0] for key in wanted]
    if not modules:
        return {}
    last = modules[-1]
    keys = [key for key, module in zip(wanted, modules, strict=True) if module == last]
    if not all(key in found and found[key].ndim and wanted[key].ndim and found[key].shape[1:] == wanted[key].shape[1:] for key in keys):
        return {}
    sizes = {(found[key].shape[0], wanted[key].shape[0]) for key in keys}
    return {last: next(iter(sizes))} if len(sizes) == 1 and all(have != want for have, want in sizes) else {}


def _fit(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], skipped: set[str]) -> None:
    missing = [key for key in wanted if key not in found and key not in skipped]
    unexpected = [key for key in found if key not in wanted]
    misshaped = [key for key in wanted if key in found and key not in skipped and found[key].shape != wanted[key].shape]
    if not (missing or unexpected or misshaped):
        return
    kinds = {
        "missing in the file": [_with_near(key, unexpected) for key in missing],
        "unknown to the model": [_with_near(key, missing) for key in unexpected],
        "of another shape": [f"{key} ({_spell(found[key])} in the file, {_spell(wanted[key])} here)" for key in misshaped],
    }
    lines = [f"{path}: does not fit this network; nothing was loaded."]
    for kind, keys in kinds.items():
        if keys:
            more = f", and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
            lines.append(f"  {len(keys)} {kind}: {', '.join(keys[:LISTED])}{more}")
    raise StorageError("\n".join(lines))


def _with_near(key: str, others: list[str]) -> str:
    close = nearest(key, others, 1)
    return f"{key} (nearest: {close[0]})" if close else key


def _spell(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"
