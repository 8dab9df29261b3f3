"""Load published or own weights into a network: everything fits, or nothing is changed and the misfits are listed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, StorageError, nearest
from striate.core.storage import file_digest
from striate.core.tensors import save_tensors
from striate.surgery.following import LOADED
from striate.zoo.published import LICENCE, fetch, imagenet_classes, known_file, published

if TYPE_CHECKING:
    from striate.pixels import Preprocess

LISTED = 8
"""How many keys of one kind an error lists before it only counts the rest."""
AUXILIARY = re.compile(r"(aux\d|AuxLogits)[.]")
"""Heads beside the chain, used in training only; a network built without them leaves them in the file."""
OLD_NAMES = re.compile(r"[.](norm|relu|conv)[.]([12])[.]")
"""torchvision's DenseNet files say norm.1 where its code, and ours, says norm1."""
PREPROCESS = "preprocess."


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` did: how many tensors came in, which modules were left fresh, what came with them, and what is worth knowing in words."""

    path: Path
    tensors: int
    fresh: tuple[str, ...]
    """Modules that kept their own initial values: the file has another number of classes, or (where that was allowed) does not have them."""
    notes: tuple[str, ...]
    preprocess: Preprocess | None = None
    """What turns pixels into this network's input; None where the file says nothing about it."""
    classes: tuple[str, ...] = ()
    """The file's class names in the order of its outputs; empty where it says nothing about them."""
    licence: str = ""


def load_weights(model: nn.Module, weights: str | Path, *, partial: bool = False) -> Loaded:
    """Copy the tensors of a `.safetensors`, `.pth` or `.pt` file (a state dict, never other pickled things) into `model`.

    `weights` is a path, or `published` for the file torchvision publishes for this architecture (`published:IMAGENET1K_V2` for one of several),
    fetched once and verified by the hash in its name. Numbers are converted to the model's precision. A head for another number of classes keeps its
    fresh values and is named in the result; with `partial` so do tensors that the file lacks. Any other missing, unexpected or misshaped key raises
    `StorageError` listing all of them, and the model stays as it was.
    """
    path = _located(model, weights)
    found, facts = _read(path)
    wanted = model.state_dict()
    found, notes = _adjusted(wanted, found)
    notes.insert(0, f"{path.name}: {len(found)} tensors")
    heads = _heads(wanted, found)
    for head, (have, want) in heads.items():
        notes.append(f"{head} is for {have} classes in the file and {want} here: it keeps its fresh values and needs training")
    counters = {key for key in wanted if key.endswith("num_batches_tracked")} - set(found)  # files older than this counter lack it
    absent = [key for key in wanted if key not in found and key not in counters] if partial else []
    fresh = (*heads, *dict.fromkeys(key.rpartition(".")[0] for key in absent if key.rpartition(".")[0] not in heads))
    if absent:
        notes.append(f"{len(absent)} tensors are not in the file and keep their fresh values: {', '.join(fresh[len(heads) :][:LISTED])}")
    skipped = {key for key in wanted if key.rpartition(".")[0] in heads} | counters | set(absent)
    _fit(path, wanted, found, skipped)
    taken = [key for key in wanted if key not in skipped]
    if not taken:
        raise StorageError(f"{path}: holds none of this network's tensors; nothing was loaded")
    with torch.no_grad():
        for key in taken:
            wanted[key].copy_(found[key])
    loaded = Loaded(path, len(taken), fresh, tuple(notes), **facts)
    object.__setattr__(model, LOADED, loaded)
    return loaded


def loaded_into(model: nn.Module) -> Loaded | None:
    """Return what the last `load_weights` put into this network (preprocessing, class names, licence), or None where nothing was loaded."""
    loaded = getattr(model, LOADED, None)
    return loaded if isinstance(loaded, Loaded) else None


def save_weights(
    model: nn.Module,
    path: str | Path,
    *,
    preprocess: Preprocess | None = None,
    classes: Sequence[str] = (),
    licence: str = "",
    half: bool = False,
) -> None:
    """Write a network's weights as `.safetensors`, with what has to travel along; `half` stores floats in half precision, half the size.

    What is not given comes from the weights the network was loaded with. Raises `ArgumentError` for another ending, for values beyond half precision
    and for class names that are not one an output of the network's spec.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ArgumentError(f"path: got {path.name}, expected a name that ends in .safetensors")
    spec, before = getattr(model, "spec", None), loaded_into(model)
    if before and not before.fresh:
        preprocess, classes, licence = preprocess or before.preprocess, classes or before.classes, licence or before.licence
    if classes and isinstance(spec, ModelSpec) and len(classes) != spec.classes:
        raise ArgumentError(f"classes: got {len(classes)} names, expected {spec.classes}, one an output")
    tensors = {key: _halved(key, value) if half else value for key, value in model.state_dict().items()}
    facts: dict[str, Any] = {"classes": list(classes), "licence": licence}
    if isinstance(spec, ModelSpec):
        facts["model"] = spec.to_json()
    if preprocess is not None:
        facts["preprocess"] = preprocess.to_json()
        tensors |= {f"{PREPROCESS}{name}": value for name, value in preprocess.tensors().items()}
    save_tensors(path, tensors, facts)


def _halved(key: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    small = value.half()
    if not torch.equal(small.isfinite(), value.isfinite()):
        raise ArgumentError(f"half: {key} has values up to {value.abs().max():.3g}, half precision ends at 65,504; save it without half")
    return small


def _located(model: nn.Module, weights: str | Path) -> Path:
    """Return the file that is meant, fetched where it is a published one; a published file at hand is verified by its name."""
    word, _, tag = str(weights).partition(":")
    if isinstance(weights, str) and word == "published":
        spec = getattr(model, "spec", None)
        if not isinstance(spec, ModelSpec):
            raise ArgumentError("weights: `published` needs a network that zoo.build made; for any other give a path")
        return fetch(published(spec.name, tag or None))
    path = Path(weights)
    known = known_file(path.name)
    if known and path.is_file() and not (digest := file_digest(path)).startswith(known.checksum.removeprefix("sha256:")):
        raise StorageError(
            f"{path}: its name promises a SHA-256 that begins {known.checksum[7:]}, it is {digest[:8]}...: fetch it again or rename it"
        )
    return path


def _facts(path: Path, note: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what travels with the weights: from the file's own note, or from what is known of a published file."""
    from striate.pixels import Preprocess

    known = known_file(path.name)
    if known:
        return {"preprocess": known.preprocess, "classes": imagenet_classes(), "licence": LICENCE}
    told: dict[str, Any] = {"classes": tuple(note.get("classes", ())), "licence": note.get("licence", "")}
    if note.get("preprocess"):
        told["preprocess"] = Preprocess.from_json(note["preprocess"], tensors)
    return told


def _adjusted(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the file's tensors under the network's names, without heads this network was built without, and a note of each change."""
    notes = []
    renamed = {OLD_NAMES.sub(r".\1\2.", key) if key not in wanted else key: value for key, value in found.items()}
    changed = sum(key not in renamed for key in found)
    if changed:
        notes.append(f"{changed} names of an older form were read as today's (norm.1 as norm1)")
    aside = [key for key in renamed if key not in wanted and AUXILIARY.match(key)]
    if aside and not any(AUXILIARY.match(key) for key in wanted):
        heads = ", ".join(dict.fromkeys(key.partition(".")[0] for key in aside))
        notes.append(f"{heads} left in the file: this network is built without auxiliary heads")
        renamed = {key: value for key, value in renamed.items() if key not in aside}
    return renamed, notes


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a file's tensors and what travels with them."""
    if not path.is_file():
        close = nearest(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else []
        raise StorageError(
            f"{path}: no such file." + (f" Did you mean {' or '.join(close)}?" if close else " Give the path of a .safetensors or .pth file")
        )
    if path.suffix == ".safetensors":
        tensors, note = _read_safetensors(path)
        extra = {key.removeprefix(PREPROCESS): tensors.pop(key) for key in list(tensors) if key.startswith(PREPROCESS)}
        return _without_prefix(tensors), _facts(path, note, extra)
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
    return _without_prefix(dict(content)), _facts(path, {}, {})


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, ties written once restored, and the note striate puts beside them."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the handle is no mapping
            note = json.loads((file.metadata() or {}).get("striate", "{}"))
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: is not a whole safetensors file ({error}). Fetch or copy it again") from error
    tensors |= {name: tensors[original] for name, original in note.get("ties", {}).items()}
    return tensors, note.get("facts", {})


def _without_prefix(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefix that data-parallel training or compiling puts before every name."""
    for prefix in ("module.", "_orig_mod."):
        if found and all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def _heads(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Return the modules whose tensors differ in the number of classes and in nothing else: path -> (in the file, here).

    A network's last module with weights is its head, and auxiliary heads that differ by the same numbers; anything else misshaped is a misfit.
    """
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in wanted))
    if not modules:
        return {}
    sizes = {module: _sizes(module, wanted, found) for module in modules if module == modules[-1] or AUXILIARY.match(f"{module}.")}
    last = sizes[modules[-1]]
    if last is None or last[0] == last[1]:
        return {}
    return {module: last for module, size in sizes.items() if size == last}


def _sizes(module: str, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return a module's outputs in the file and here, None where its tensors differ in more than that."""
    keys = [key for key in wanted if key.rpartition(".")[0] == module]
    if not all(key in found and found[key].ndim and wanted[key].ndim and found[key].shape[1:] == wanted[key].shape[1:] for key in keys):
        return None
    sizes = {(found[key].shape[0], wanted[key].shape[0]) for key in keys}
    return next(iter(sizes)) if len(sizes) == 1 else None


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
