"""A model and images made ready for a method, and both left as they were: `with prepare(model, images) as p: p.model(p.pixels)`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.core.runtime import generator as seeded
from striate.probe import original, takes_channels_last, traceless
from striate.probe.walking import Parts
from striate.understand.explanation import Explanation
from striate.understand.fingerprints import facts, of_array, of_model
from striate.understand.layouts import Layout
from striate.understand.opening import assumed, chosen_preprocess, opened, scorer
from striate.understand.pictures import pixels_of
from striate.understand.scoring import Scorer, scores_of
from striate.understand.soundness import check_callable, check_weights

if TYPE_CHECKING:
    from striate.understand.registry import Kind

PIXELS_AT_ONCE = 32 * 224 * 224
"""Of one chunk, unless `batch` says otherwise; small pictures come in up to 512."""
NAMED = 10
"""Up to so many classes are named where a class was not one of them."""
_MISFIT = re.compile(
    r"(expected input|shapes cannot be multiplied|size mismatch|must match the size|kernel size can't be greater|output size is too small"
    r"|invalid for input of size|expected .* channels|sizes? .* must match|too small)",
    re.IGNORECASE,
)


class Prepared:
    """What `prepare` gives.

    `network`     the nn.Module itself, in eval mode: layer names are its own
    `pixels`      N C H W in [0, 1], on the network's device: float32 (float64 for a float64 network)
    `preprocess`  pixels -> the network's input; `inputs` is that of `pixels`
    `classes`     class names in label order, or empty
    `names`       the pictures' file names, or empty
    `scorer`      how class scores are read from what the network returns
    `notes`       what a person should know; a method may append
    """

    def __init__(
        self,
        network: nn.Module,
        pixels: Tensor,
        preprocess: Any,
        parts: Parts,
        *,
        target: Any = None,
        classes: Sequence[str] = (),
        names: Sequence[str] = (),
        notes: Sequence[str] = (),
        batch: int | None = None,
        seed: int = 0,
        known: dict[str, Any] | None = None,
        scorer: Scorer = scores_of,
    ) -> None:
        self.network, self.pixels, self._preprocess, self._asked = network, pixels, preprocess, target
        self.known, self.scorer = known, scorer
        self.classes, self.names, self.notes, self.seed = tuple(classes), tuple(names), list(notes), seed
        self.batch = batch or max(1, min(512, PIXELS_AT_ONCE // max(1, pixels.shape[-2] * pixels.shape[-1])))
        self._dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)  # the first layer's, as a rule
        self.layout = Layout(p for _, p in parts.parameters)
        self.layout.takes = takes_channels_last(network, lambda: self.preprocess(pixels[:1]))  # found now, while nobody watches the network

    def __len__(self) -> int:
        return len(self.pixels)

    def ready(self, images: Tensor) -> Tensor:
        """Return further pictures N C H W, uint8 or float in [0, 1], as `pixels` are: on the device, in the same type."""
        plain = images.to(self.pixels.device)
        return plain.to(self.pixels.dtype) / 255 if plain.dtype == torch.uint8 else plain.to(self.pixels.dtype)

    def preprocess(self, pixels: Tensor) -> Tensor:
        """Return the network's input for pixels N C H W, differentiable, laid out as the network takes it best."""
        made = self._prepared(pixels)
        return self.layout(made.to(self._dtype))

    def _prepared(self, pixels: Tensor) -> Tensor:
        how = self._preprocess
        if how is None or hasattr(how, "to_json"):
            return pixels if how is None else how(pixels)
        try:
            made = how(pixels.clone())  # it may write over what it is given
        except StriateError:
            raise
        except Exception as error:
            raise ArgumentError(f"preprocess: raised {type(error).__name__}: {error}; it is given pixels N C H W in [0, 1] as one tensor") from error
        if not isinstance(made, Tensor) or len(made) != len(pixels):
            came = f"a tensor of shape {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
            raise ArgumentError(f"preprocess: returned {came} for pixels of shape {tuple(pixels.shape)}, expected a tensor N C H W")
        return made

    def model(self, pixels: Tensor) -> Tensor:
        """Return class scores N K for pixels N C H W in [0, 1], preprocessing inside, differentiable; see `scores_of`."""
        scores, told = self.scorer(self.output(pixels), len(pixels))
        self.notes += [note for note in told if note not in self.notes]
        return scores

    def output(self, pixels: Tensor) -> Any:
        """Return what the network returns, whatever it is."""
        x = self.preprocess(pixels)
        same = x.untyped_storage().data_ptr() == pixels.untyped_storage().data_ptr()
        return self.network(x.clone() if same else x)  # it may begin with an operation in place

    @property
    def own_size(self) -> str:
        """The shape of the pictures the network learned on, as people write it, where the preprocess tells it; else nothing."""
        size, channels = getattr(self._preprocess, "size", None), getattr(self._preprocess, "channels", None)
        return f"{channels}×{size[0]}×{size[1]}" if size is not None and channels is not None else ""

    def misfit(self) -> str:
        """Return what torch says when the network is run on one of the pictures, where they do not fit it; empty where they do."""
        try:
            with torch.no_grad():
                self.output(self.pixels[:1])
        except RuntimeError as error:
            return str(error) if _MISFIT.search(str(error)) else ""
        return ""

    @cached_property
    def inputs(self) -> Tensor:
        """The network's input for `pixels`."""
        return self.preprocess(self.pixels)

    @cached_property
    def logits(self) -> Tensor:
        """Class scores N K of `pixels`, without gradients, computed in chunks."""
        with torch.no_grad():
            found = torch.cat([self.model(self.pixels[part]) for part in self.chunks()])
        if not bool(found.isfinite().all()):
            raise ArgumentError("model: its scores for these pictures are NaN or infinite; there is nothing to explain")
        return found

    @cached_property
    def target(self) -> Tensor:
        """The class explained for each picture, N int64: the one asked for, else the predicted one."""
        if self._asked is None:
            return self.logits.argmax(1)
        asked = self._asked.tolist() if isinstance(self._asked, (Tensor, np.ndarray)) else self._asked
        values = list(asked) if isinstance(asked, (list, tuple)) else [asked] * len(self)
        if len(values) != len(self):
            raise ArgumentError(f"target: got {len(values)} for {len(self)} pictures, expected one class, or one for each picture")
        return torch.tensor([self._class(value) for value in values], device=self.pixels.device)

    def _class(self, value: Any) -> int:
        count = self.logits.shape[1]
        if isinstance(value, str):
            if not self.classes:
                raise ArgumentError(f"target: unknown class {value!r}: no class names are known for this model; give a number from 0 to {count - 1}")
            if value not in self.classes:
                raise unknown_name("class", value, self.classes)
            return self.classes.index(value)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < count:
            named = f", or its name: {', '.join(self.classes)}" if 0 < len(self.classes) <= NAMED else " or its name" if self.classes else ""
            raise ArgumentError(f"target: got {value!r}, expected a class from 0 to {count - 1}{named}")
        return int(value)

    def chunks(self, batch: int | None = None) -> Iterator[slice]:
        """Yield slices over the pictures, of at most `batch` (what fits memory comfortably, unless told)."""
        size = batch or self.batch
        return (slice(start, min(start + size, len(self))) for start in range(0, len(self), size))

    def generator(self, number: int, *more: int) -> torch.Generator:
        """Return a CPU generator for picture `number`: seeded by `seed` and the picture's content, so that its place in a batch does not count."""
        return seeded(self.seed, int(self.fingerprints[number], 16), *more)

    @cached_property
    def paper_names(self) -> Mapping[str, str]:
        """The names that the architecture's paper gives its layers, and their module paths; empty for a network that is not the zoo's."""
        from striate.zoo import card, spec_of
        from striate.zoo.registry import architectures

        spec = spec_of(self.network)
        return card(spec.name).paper_names if spec is not None and spec.name in architectures else {}

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """One for each picture."""
        return tuple(of_array(each) for each in self.pixels)

    def caption(self, number: int) -> str:
        """Return a class's name, or its number where names are unknown."""
        return self.classes[number] if number < len(self.classes) else f"class {number}"

    def explanation(
        self,
        method: str,
        kind: Kind,
        arrays: Mapping[str, Tensor | np.ndarray[Any, Any]],
        *,
        options: Mapping[str, Any] | None = None,
        layer: str | None = None,
        targeted: bool = False,
        receipts: Mapping[str, float] | None = None,
        notes: Sequence[str] = (),
        shared: Sequence[str] = (),
        pixels: bool = True,
    ) -> Explanation:
        """Put a method's arrays (tensors or arrays) into an Explanation with pictures, names, fingerprints and notes.

        `targeted`: the classes explained go with it; `pixels`: the pictures do. A map's raw smallest and largest value are always among the receipts.
        """
        plain = {name: _array(value) for name, value in arrays.items()}
        if pixels and "pixels" not in plain:
            plain["pixels"] = _array(self.pixels)
        cheap: dict[str, float] = {}
        if "map" in plain and plain["map"].size:
            cheap = {"raw_min": float(plain["map"].min()), "raw_max": float(plain["map"].max())}
        return Explanation(
            kind=kind,
            method=method,
            arrays=plain,
            options=dict(options or {}),
            layer=layer,
            target=tuple(self.target.tolist()) if targeted else None,
            fingerprints={"model": of_model(self.network, self.known), "images": " ".join(self.fingerprints)},
            seed=self.seed,
            receipts={**cheap, **(receipts or {})},
            notes=tuple(dict.fromkeys([*self.notes, *notes])),
            shared=tuple(shared),
            names=self.names,
            classes=self.classes,
        )


@contextmanager
def prepare(model: Any, images: Any, *, preprocess: Any = None, target: Any = None, batch: int | None = None, seed: int = 0) -> Iterator[Prepared]:
    """Make a model (any nn.Module, or a Run) and images ready: eval mode, parameters without gradients, compiled code unwrapped; restored at the end.

    `preprocess`: what turns pixels into the network's input: a callable, `"imagenet"`, `"identity"`, or None for the Run's or the loaded weights'
    own, and identity for a foreign model, which the notes say. `target`: a class number or name, one for each picture, or None for the predicted
    class.
    Gradients are enabled inside: use torch.no_grad() where none are wanted.
    Raises `ArgumentError` for images, classes or weights (NaN) that will not do.
    """
    seed = whole_number("seed", seed)
    batch = None if batch is None else whole_number("batch", batch, least=1)
    network, own, classes = opened(model)
    inner, notes = original(network)
    how, said = chosen_preprocess(preprocess, own)
    said += assumed(inner, preprocess)
    parts = Parts.of(inner)
    check_callable(inner, parts)
    known = facts(inner, parts)
    check_weights(inner, known)
    pixels, names, changed = pixels_of(images, how)
    first = next((p for p in inner.parameters() if p.is_floating_point()), None)
    if first is not None:
        pixels = pixels.to(first.device, torch.float64 if first.dtype == torch.float64 else torch.float32)
    channels = getattr(how, "channels", None) or _channels(inner)
    if channels is not None and pixels.shape[1] != channels:
        pixels, told = _recoloured(pixels, channels)
        changed.append(told)
    with traceless(inner, parts), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(pixels.device.type, enabled=False))
        if any(module.training for module in parts.modules):
            try:
                inner.eval()
            except NotImplementedError as error:  # an exported program
                raise ArgumentError(f"model: it cannot be put in evaluation mode ({error}); give the network it was made from") from error
        for _, parameter in parts.parameters:
            if parameter.requires_grad:
                parameter.requires_grad_(False)
        words = [*notes, *said, *changed]
        given: dict[str, Any] = {"target": target, "classes": classes, "names": names, "notes": words, "batch": batch, "seed": seed, "known": known}
        ready = Prepared(inner, pixels, how, parts, scorer=scorer(model), **given)
        try:
            yield ready
        except RuntimeError as error:
            if _MISFIT.search(str(error)) and (told := ready.misfit()):
                shape = "×".join(map(str, pixels.shape[1:]))
                why = f"; it learned on {ready.own_size}" if ready.own_size else f": {told.splitlines()[0]}"
                raise ArgumentError(f"images: this network does not take pictures of shape {shape}{why}") from error
            raise


def _channels(network: nn.Module) -> int | None:
    """Return how many channels the pictures of a network of the zoo have; None for any other."""
    from striate.zoo import spec_of

    spec = spec_of(network)
    return spec.input[0] if spec is not None and len(spec.input) == 3 else None


def _recoloured(pixels: Tensor, channels: int) -> tuple[Tensor, str]:
    if pixels.shape[1] == 1 and channels == 3:
        return pixels.expand(-1, 3, -1, -1).contiguous(), "grey pictures were given to all three channels"
    if pixels.shape[1] == 3 and channels == 1:
        weights = pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return (pixels * weights).sum(1, keepdim=True), "colour pictures were turned grey"
    raise ArgumentError(f"images: got {pixels.shape[1]} channels, expected {channels}")


def _array(value: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype in (torch.float16, torch.bfloat16) else value).numpy()
    return value.astype(np.float32) if value.dtype == np.float64 and value.ndim == 4 and value.shape[1] in (1, 3) else value
