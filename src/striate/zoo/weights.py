"""Load published or own weights into a network: everything fits, or nothing is changed and the misfits are listed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, StorageError
from striate.core.storage import file_digest
from striate.core.tensors import save_tensors
from striate.surgery.following import LOADED
from striate.zoo.published import LICENCE, fetch, imagenet_classes, known_file, published
from striate.zoo.weight_files import read_weights, without_prefix
from striate.zoo.weight_fit import AUXILIARY, LISTED, check_names, check_values, heads, own_tensors
from striate.zoo.weight_origin import difference

if TYPE_CHECKING:
    from striate.pixels import Preprocess

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
    fresh values and is named in the result; with `partial` so do tensors that the file lacks.

    Raises `ArgumentError` for a model that nothing can be copied into, `StorageError` for a file that cannot be read, for any other missing,
    unexpected or misshaped key (all are listed), for values that would be lost (sparse, without memory, whole or complex numbers for floats, nothing
    but NaN), and for weights that striate stored from a network that computes something else from the same tensors. Then the model stays as it was.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model: got {type(model).__name__}, expected an nn.Module")
    if not isinstance(weights, (str, Path)):
        raise ArgumentError(f"weights: got {type(weights).__name__}, expected the path of a .safetensors or .pth file, or 'published'")
    path = _located(model, weights)
    wanted = own_tensors(model)
    found, told = read_weights(path)
    facts, stored, own = _facts(path, told, found), _stored(path, told), getattr(model, "spec", None)
    found, notes = _adjusted(wanted, without_prefix(found))
    notes.insert(0, f"{path.name}: {len(found)} tensors")
    fresh_heads = heads(wanted, found)
    for head, (have, want) in fresh_heads.items():
        notes.append(f"{head} is for {have} classes in the file and {want} here: it keeps its fresh values and needs training")
    counters = {key for key in wanted if key.endswith("num_batches_tracked")} - set(found)  # files older than this counter lack it
    absent = [key for key in wanted if key not in found and key not in counters] if partial else []
    fresh = (*fresh_heads, *dict.fromkeys(key.rpartition(".")[0] for key in absent if key.rpartition(".")[0] not in fresh_heads))
    if absent:
        notes.append(f"{len(absent)} tensors are not in the file and keep their fresh values: {', '.join(fresh[len(fresh_heads) :][:LISTED])}")
    skipped = {key for key in wanted if key.rpartition(".")[0] in fresh_heads} | counters | set(absent)
    check_names(path, wanted, found, skipped, stored=stored.name if stored and isinstance(own, ModelSpec) and own.name != stored.name else None)
    taken = [key for key in wanted if key not in skipped]
    if not taken:
        raise StorageError(f"{path}: holds none of this network's tensors; nothing was loaded")
    notes += check_values(path, wanted, found, taken, {name for name, _ in model.named_parameters(remove_duplicate=False)})
    notes += _check_origin(path, stored, own, dict.fromkeys(key.rpartition(".")[0] for key in taken) if absent else None)
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


def _facts(path: Path, told: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return what travels with the weights, from what the file says or what is known of a published one; take its tensors out of `tensors`."""
    from striate.pixels import Preprocess

    extra = {key.removeprefix(PREPROCESS): tensors.pop(key) for key in list(tensors) if told.get("preprocess") and key.startswith(PREPROCESS)}
    known = known_file(path.name)
    if known:
        return {"preprocess": known.preprocess, "classes": imagenet_classes(), "licence": LICENCE}
    classes, licence, preprocess = told.get("classes", []), told.get("licence", ""), told.get("preprocess")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes) or not isinstance(licence, str):
        raise StorageError(f"{path}: what it says of its classes and licence is not what striate writes. Fetch or copy it again")
    facts: dict[str, Any] = {"classes": tuple(classes), "licence": licence}
    if preprocess:
        try:
            facts["preprocess"] = Preprocess.from_json(preprocess, extra)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise StorageError(f"{path}: the preprocessing it keeps cannot be read ({error}). Fetch or copy it again") from error
    return facts


def _stored(path: Path, told: Mapping[str, Any]) -> ModelSpec | None:
    """Return how the network was built that the file's weights come from; None where nothing says it."""
    known, model = known_file(path.name), told.get("model")
    if known:
        return ModelSpec(known.architecture, 1000, (3, known.size, known.size))
    if model is None:
        return None
    if not isinstance(model, dict) or not isinstance(model.get("name"), str) or not isinstance(model.get("options", {}), dict):
        raise StorageError(f"{path}: what it says of its network is not what striate writes. Fetch or copy it again")
    return ModelSpec(model["name"], 0, (), model.get("options", {}))  # not run on a file's word: weight_origin compares the zoo's own networks only


def _check_origin(path: Path, stored: ModelSpec | None, own: object, part: Collection[str] | None) -> list[str]:
    """Raise `StorageError` where the file's network computes something else; return a note where it bears another name and this cannot be told."""
    if stored is None or not isinstance(own, ModelSpec):
        return []
    try:
        detail = difference(stored, own, part)
    except LookupError:
        return [f"stored from {stored.name}, loaded into {own.name}: names and shapes fit; whether both compute the same is not known"]
    if detail:
        another = f"Build {stored.name} for it, or load weights of {own.name}" if stored.name != own.name else "Build the network with its options"
        raise StorageError(
            f"{path}: holds weights of {stored.name}, this network is {own.name}: names and shapes fit, but it computes something else from them "
            f"({detail}); nothing was loaded. {another}"
        )
    where = "" if part is None else " where it was loaded"
    return [f"stored from {stored.name}, which computes the same as {own.name}{where}"] if stored.name != own.name else []


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
