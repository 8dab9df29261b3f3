"""Autoencoders of one form: an encoder that narrows to a code, and a decoder that is its mirror image (rows E1, E2, E3).

shallow       autoencoder((1, 28, 28), code=32)
deep          autoencoder((1, 28, 28), widths=(1000, 500, 250), code=30)                 Hinton and Salakhutdinov 2006
convolutional autoencoder((3, 32, 32), form="convolutional", widths=(32, 64), code=128)
tied          tied=True: every decoder weight is the encoder's, transposed; biases are its own
linear        activation="none", output="linear": spans the PCA subspace
denoising     noise="masking" | "gaussian" | "salt", amount=0.1: spoils the input in training only
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from striate.autoencode.corruption import Corruption, Noise
from striate.autoencode.mirror import Stage, mirrored
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, unknown_name

Form = Literal["dense", "convolutional"]
Activation = Literal["relu", "sigmoid", "tanh", "none"]
Output = Literal["sigmoid", "linear"]
KINDS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "none": None}
NAME = "striate.autoencode:autoencoder"
"""How a run's file names the factory below."""


class Autoencoder(nn.Module):
    """`encoder` and `decoder`, chains of named boxes, with `corruption` before them; in evaluation the input is left clean.

    `stages` are the pairs of boxes, one for each layer with weights, outermost first: what is trained layer by layer.
    """

    def __init__(self, stages: Sequence[Stage], *, noise: Noise = "none", amount: float = 0.1) -> None:
        super().__init__()
        self.corruption = Corruption(noise, amount)
        self.encoder = nn.Sequential(OrderedDict(pair for stage in stages for pair in stage.encoder.items()))
        back = [(f"{name}_{len(stages) - place}", box) for place, stage in enumerate(reversed(stages)) for name, box in stage.decoder.items()]
        self.decoder = nn.Sequential(OrderedDict(back))
        object.__setattr__(self, "stages", tuple(stages))  # their boxes are the chains' own: no second set of names

    stages: tuple[Stage, ...]

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of clean inputs N …."""
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Return the inputs that codes stand for."""
        rebuilt: Tensor = self.decoder(code)
        return rebuilt

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of N …, same shape; in training of the spoiled input."""
        return self.decode(self.encode(self.corruption(x)))

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code: (K,), or maps C H W."""
        return self.stages[-1].output

    @property
    def code_size(self) -> int:
        """How many numbers a code has."""
        return math.prod(self.code_shape)


def autoencoder(
    shape: Sequence[int],
    *,
    form: Form = "dense",
    widths: Sequence[int] = (),
    code: int = 32,
    activation: Activation = "relu",
    code_activation: Activation = "none",
    output: Output = "sigmoid",
    tied: bool = False,
    noise: Noise = "none",
    amount: float = 0.1,
    kernel: int = 3,
) -> Autoencoder:
    """Build an autoencoder for inputs of `shape` (C, H, W), freshly initialised from torch's random state.

    `widths`      units of the hidden layers before the code, or channels of the convolutions (stride 2 each) where `form` is convolutional
    `code`        numbers of the code; 0 in a convolutional one: the last maps are the code
    `activation`  behind every layer but the code's, which has `code_activation`
    `output`      `sigmoid` for pixels in [0, 1], `linear` for anything
    `tied`        the decoder's weights are the encoder's, transposed (W' = Wᵀ)
    `noise`       what spoils the input in training, by `amount`; see `Corruption`

    Raises `ArgumentError` and `UnknownNameError` that name the option.
    """
    size = _checked(shape, form, widths, code, kernel)
    for name, given, known in (("activation", activation, KINDS), ("code_activation", code_activation, KINDS)):
        if given not in known:
            raise unknown_name(name, str(given), known)
    if output not in ("sigmoid", "linear"):
        raise unknown_name("output", str(output), ("sigmoid", "linear"))
    if form == "convolutional":
        encoder = _convolutional(size, widths, code, kernel, activation, code_activation)
    else:
        encoder = _dense(size, widths, code, activation, code_activation)
    stages = mirrored(encoder, size, tied=tied, last=nn.Sigmoid() if output == "sigmoid" else None)
    made = Autoencoder(stages, noise=noise, amount=amount)
    for box in made.modules():
        if getattr(box, "bias", None) is not None and isinstance(box.bias, nn.Parameter):
            nn.init.zeros_(box.bias)
    for stage in stages:
        for box in [*stage.encoder.values(), *stage.decoder.values()]:
            if isinstance(box, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.xavier_uniform_(box.weight)
    options: dict[str, Any] = {"form": form, "widths": list(widths), "code": code, "activation": activation, "code_activation": code_activation}
    options |= {"output": output, "tied": tied, "noise": noise, "amount": amount, "kernel": kernel}
    object.__setattr__(made, "spec", ModelSpec(NAME, 1, size, options))
    return made


def _dense(
    size: tuple[int, ...], widths: Sequence[int], code: int, activation: Activation, code_activation: Activation
) -> list[tuple[str, nn.Module]]:
    boxes: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    units = math.prod(size)
    for number, width in enumerate(widths, 1):
        boxes += _with(f"fc{number}", nn.Linear(units, width), f"act{number}", activation)
        units = width
    return boxes + _with("code", nn.Linear(units, code), "code_act", code_activation)


def _convolutional(
    size: tuple[int, ...], widths: Sequence[int], code: int, kernel: int, activation: Activation, code_activation: Activation
) -> list[tuple[str, nn.Module]]:
    boxes: list[tuple[str, nn.Module]] = []
    channels, height, width = size
    for number, filters in enumerate(widths, 1):
        last = number == len(widths) and not code
        layer = nn.Conv2d(channels, filters, kernel, stride=2, padding=kernel // 2)
        boxes += _with(f"conv{number}", layer, f"act{number}", code_activation if last else activation)
        channels, height, width = filters, (height + 1) // 2, (width + 1) // 2
    if not code:
        return boxes
    return [*boxes, ("flatten", nn.Flatten()), *_with("code", nn.Linear(channels * height * width, code), "code_act", code_activation)]


def _with(name: str, layer: nn.Module, act: str, kind: str) -> list[tuple[str, nn.Module]]:
    made = KINDS[kind]
    return [(name, layer)] if made is None else [(name, layer), (act, made())]


def _checked(shape: Sequence[int], form: str, widths: Sequence[int], code: int, kernel: int) -> tuple[int, ...]:
    size = tuple(shape)
    if len(size) != 3 or not all(isinstance(n, int) and n > 0 for n in size):
        raise ArgumentError(f"shape: got {shape!r}, expected (channels, height, width), for example (1, 28, 28)")
    if form not in ("dense", "convolutional"):
        raise unknown_name("form", str(form), ("dense", "convolutional"))
    if any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in widths):
        raise ArgumentError(f"widths: got {widths!r}, expected whole numbers, 1 or more")
    least = 0 if form == "convolutional" and widths else 1
    if isinstance(code, bool) or not isinstance(code, int) or code < least:
        raise ArgumentError(f"code: got {code!r}, expected how many numbers a code has, {least} or more")
    if form == "convolutional" and not widths:
        raise ArgumentError("widths: a convolutional autoencoder needs the channels of its convolutions, for example (16, 32)")
    if kernel < 1 or kernel % 2 == 0:
        raise ArgumentError(f"kernel: got {kernel}, expected an odd number")
    return size
