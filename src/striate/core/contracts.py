"""The types every part of striate speaks: Batch, Data, Task, Recipe, Run, ModelSpec, Card, Explanation. No torch at import."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from striate.core.errors import ArgumentError
from striate.core.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

Strategy = Literal["auto", "linear", "svm", "finetune", "scratch"]


@dataclass(slots=True)
class Batch:
    """One step's worth of samples, ready for the model and on its device.

    `x`      the model's input: pictures N C H W, float32, standardised; tokens N L, int64
    `y`      targets N (int64 class numbers), N K (float class shares, after mixing), or None when unlabelled
    `index`  N, int64, on the CPU: the samples' positions in their split
    `extra`  further tensors whose first axis is N: boxes, lengths, weights
    """

    x: Tensor
    y: Tensor | None
    index: Tensor
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)


@runtime_checkable
class Split(Protocol):
    """One named part of a data set, seen for training (shuffled, augmented) or for evaluation (in order, plain)."""

    @property
    def name(self) -> str:
        """`train`, `val`, `test`, or what the source calls it."""

    @property
    def length(self) -> int | None:
        """How many samples; None for a stream."""

    def batches(self, size: int, *, epoch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield the batches of one epoch from step `start` on.

        An epoch has ceil(length / size) steps of nearly equal size: no sample is skipped and no batch is tiny. Order and augmentation are
        functions of (seed, epoch, step) and are drawn for the whole global batch; each rank gets its share of the rows.
        """


@runtime_checkable
class Data(Protocol):
    """A data set: class names, shape after preprocessing, and splits."""

    @property
    def name(self) -> str:
        """Short name for folders and titles, such as `mnist` or the folder's own name."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order, one list for every split."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample as the model gets it: (C, H, W), or (L,) for tokens."""

    @property
    def preprocess(self) -> Preprocess:
        """What turns pixels into the model's input; it travels with the weights."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content; equal content, equal fingerprint."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names `split` accepts."""

    def split(self, name: str, *, training: bool = False) -> Split:
        """Return one part, shuffled and augmented when `training`; raises `UnknownNameError`."""

    def prepared(self, *, augment: Sequence[str] = (), device: str = "cpu", classes_as_shares: bool = False) -> Data:
        """Return the same data with its batches augmented (specs such as `crop(4)`, `mirror`) and delivered on `device`."""


class Preprocess(Protocol):
    """Turns pixels (N C H W, uint8 or float in [0, 1]) into a model's input; `striate.pixels.Preprocess` implements it."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 N C H W, standardised."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` rebuilds it from."""


@runtime_checkable
class Task(Protocol):
    """What a network is trained for: a loss, per-sample figures and the meaning of an output."""

    @property
    def name(self) -> str:
        """The registry's name, such as `classify`."""

    @property
    def watch(self) -> str:
        """The figure that says which epoch is best; lower is better."""

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the scalar to minimise: a mean over the batch, in float32."""

    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return figures per sample (N each, float32), to be averaged by the loop; lower is better (`error`, not accuracy)."""

    def decode(self, output: Any) -> Any:
        """Turn outputs into what a person wants: class shares N K, boxes, pictures."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a network is trained, as data. `--set key=value` edits these fields and nothing else.

    Rates are per step as torch counts them; lengths are in epochs unless the name says otherwise.
    """

    name: str = "custom"
    epochs: float = 10.0
    batch: int = 128
    optimiser: str = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the optimiser, checked against its signature."""
    schedule: str = "one-cycle"
    warmup: float = 0.0
    """Share of the whole length (0 to 1) over which the rate rises."""
    milestones: tuple[float, ...] = ()
    """Shares of the whole length (0 to 1) at which `steps` divides the rate by `divide`."""
    divide: float = 10.0
    patience: int = 5
    """Epochs without progress before `plateau` divides the rate."""
    augment: tuple[str, ...] = ()
    smoothing: float = 0.0
    """Label smoothing, 0 to 1."""
    class_weights: bool = False
    """Weigh each class by the inverse of its count in the training split."""
    clip: float | None = None
    """Largest norm of the whole gradient."""
    average: Literal["none", "ema", "lookahead", "tail"] = "none"
    average_decay: float = 0.99
    """Decay per step of `ema`; `tail` averages the last (1 - decay) share of all steps."""
    early_stop: int | None = None
    """Epochs without progress on the validation part before training ends; None never ends early."""
    validation: float = 0.0
    """Share of the training split held out, stratified, to choose by; 0 uses the source's own validation split if it has one."""
    calibrate: float = 0.0
    """Share of the training split held back, stratified, never trained on: the logits' temperature is fitted to it at the end; 0 fits none."""
    views: Literal["one", "mirror", "six"] = "one"
    """Test-time augmentation: the picture; and its mirror; and both shifted by one pixel each way."""
    whitening: Literal["none", "pca", "zca"] = "none"
    init: Literal["model", "whiten-first"] = "model"
    """`whiten-first` sets a first layer that asks for it from the covariance of training patches."""
    freeze: str = ""
    """Module path: it and every layer before it stay as they are, batch-norm statistics too; empty freezes nothing."""
    layer_decay: float = 1.0
    """Each layer group learns at this share of the next deeper group's rate; the head has the full rate."""
    head_first: float = 0.0
    """Share of the whole length (0 to 1) during which only the head learns."""
    thaw: float = 0.0
    """Share of the whole length (0 to 1), after `head_first`, over which the other layer groups join one by one, deep to shallow; 0: all at once."""

    def __post_init__(self) -> None:
        checked = Signature.of_dataclass(Recipe).check({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name, good, allowed in (
            ("epochs", 0 < self.epochs < math.inf, "more than 0 and finite"),
            ("batch", self.batch >= 1, "1 or more"),
            ("lr", 0 < self.lr < math.inf, "more than 0 and finite"),
            ("momentum", 0 <= self.momentum < 1, "a share from 0 up to 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more and finite"),
            ("clip", self.clip is None or self.clip > 0, "more than 0, or None"),
            ("patience", self.patience >= 1, "1 or more"),
            ("early_stop", self.early_stop is None or self.early_stop >= 1, "1 or more, or None"),
            ("warmup", 0 <= self.warmup < 1, "a share from 0 up to 1"),
            ("smoothing", 0 <= self.smoothing < 1, "a share from 0 up to 1"),
            ("validation", 0 <= self.validation < 1, "a share from 0 up to 1"),
            ("calibrate", 0 <= self.calibrate < 1, "a share from 0 up to 1"),
            ("average_decay", 0 <= self.average_decay < 1, "a share from 0 up to 1"),
            ("divide", self.divide > 1, "more than 1"),
            ("layer_decay", 0 < self.layer_decay <= 1, "a share above 0, up to 1"),
            ("head_first", 0 <= self.head_first < 1, "a share from 0 up to 1"),
            ("thaw", self.thaw >= 0 and self.head_first + self.thaw <= 1, "a share that with head_first makes 1 at most"),
        ):
            if not good:
                raise ArgumentError(f"recipe {name}: got {getattr(self, name)!r}, expected {allowed}")

    def edited(self, **changes: Any) -> Recipe:
        """Return a copy with fields changed; unknown names and wrong types raise `ArgumentError`."""
        return dataclasses.replace(self, **Signature.of_dataclass(Recipe).check(changes))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_json`'s output."""
        return cls(**Signature.of_dataclass(cls).check(values))


LIBRARIES = ("timm", "torchvision")
"""Where networks may come from by name alone: `timm:NAME`."""
OURS = ("striate.autoencode:autoencoder",)
"""Factories of our own that stand above the zoo, which a file may name too."""


@dataclass(frozen=True)
class ModelSpec:
    """How a network was built, enough to build it again: the zoo's name, classes, input shape (C, H, W) or (L,), and options."""

    name: str
    classes: int
    input: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"name": self.name, "classes": self.classes, "input": list(self.input), "options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelSpec:
        """Rebuild a spec from `to_json`'s output.

        A file may not name code to run: `package.module:factory` raises `ArgumentError` unless STRIATE_TRUST=1 says that the file is trusted.
        """
        source = str(values["name"]).rpartition(":")[0]
        if source and source not in LIBRARIES and values["name"] not in OURS and os.environ.get("STRIATE_TRUST") != "1":
            raise ArgumentError(
                f"model: this file says its network is built by {values['name']}, code from outside, which is not run on a file's word. "
                f"If you know the file, set STRIATE_TRUST=1, or build the network yourself and pass it as model"
            )
        return cls(values["name"], int(values["classes"]), tuple(values["input"]), dict(values["options"]))


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known about an architecture: where it comes from, how it was trained, where to cut it."""

    paper: str
    year: int
    parameters: int
    """For the paper's own input and classes."""
    input: tuple[int, ...]
    """The paper's input: C H W, or (L,) for sentences of L words."""
    classes: int
    recipe: Recipe | None = None
    """The paper's training recipe."""
    cut_points: tuple[str, ...] = ()
    """Module paths after which the network can be cut, shallow to deep."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Layer groups for their own learning rates: tuples of module paths, shallow to deep, together all parameters."""
    paper_names: Mapping[str, str] = field(default_factory=dict)
    """The paper's layer names -> module paths."""
    deviations: str = ""
    """What differs from the paper, in words."""
    weights: str = ""
    """Which published files fit, and their licence."""
    error: str = ""
    """Published error, with its data set."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a method of understanding returns: raw arrays, how they were made and what speaks for them."""

    kind: Literal["map", "image", "table", "embedding"]
    method: str
    arrays: Mapping[str, np.ndarray]
    options: Mapping[str, Any] = field(default_factory=dict)
    layer: str | None = None
    target: tuple[int, ...] | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    receipts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class Run(Protocol):
    """A handle on a run's folder, valid from the moment the folder is made; `striate.training.Run` implements it."""

    @property
    def folder(self) -> Path:
        """Where everything of the run lies."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch, in order."""

    @property
    def model(self) -> nn.Module:
        """The network with the weights of the last checkpoint (averaged where the recipe averages)."""

    @property
    def best(self) -> nn.Module:
        """The network with the weights of the best epoch on the validation part; the last where there is none."""

    @property
    def preprocess(self) -> Preprocess:
        """What turns pixels into this network's input."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""

    @property
    def task(self) -> Task:
        """What it was trained for."""

    @property
    def recipe(self) -> Recipe:
        """How it was trained."""


class Progress(Protocol):
    """Whoever wants to watch a run: a terminal line, a page, nobody. All methods are called from the training thread."""

    def started(self, title: str, *, epochs: float, steps: int, start: int) -> None:
        """Training begins (or goes on) at global step `start` of `steps`."""

    def stepped(self, step: int, *, samples: int, loss: torch.Tensor) -> None:
        """Global step `step` is done; `loss` is on the device: reading it waits for the device."""

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """An epoch is done; `row` is its line in the history."""

    def note(self, text: str) -> None:
        """Something worth a line: a choice made, a thing skipped."""

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Training is over."""


def dump_json(value: Any) -> str:
    """Spell `value` as JSON the way every striate file does: two-space indent, UTF-8, no NaN, a newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
