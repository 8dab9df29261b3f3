"""Many variations of a picture through one network as fast as this machine can: folded, in place, channels last, in bf16 where that changes no order.

The network is copied; the copy's batch norms are folded into its convolutions. In bf16 the last layer with weights stays in float32: rounding its
output, the class scores, is what would change maps most. Variations that differ from one picture in a small part are run where they differ only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, StriateError
from striate.core.runtime import freed_memory_kept, settings
from striate.probe import edited
from striate.surgery import Incremental, fuse_batch_norm
from striate.understand.layouts import Layout
from striate.understand.pixel_gradients import scores_and_gradients

if TYPE_CHECKING:
    from striate.understand.inputs import Prepared

Precision = Literal["auto", "fp32", "bf16"]
AT_ONCE, KEPT = 8 * 224 * 224, 4
"""Pixels of one batch on the CPU, and how many times more where freed memory is kept; without that, larger batches ask the system for it anew."""
SAMPLE = 32
"""Variations computed in both precisions before bf16 is believed."""
FEW = 16
"""So few variations are run whole: finding out whether a part would do takes three."""
AGREEMENT = 0.99
"""Least rank correlation between both."""
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Run:
    """Logits M K of M variations, and how they were computed."""

    logits: Tensor
    precision: Literal["fp32", "bf16"]


class Throughput:
    """A network made fast for the pictures of one `Prepared`; the network itself is not touched.

    `agreements`, `differences`: for each run in bf16, over a sample computed in float32 too, the rank correlation of its figures, and their largest
    difference as a share of their range.
    """

    def __init__(self, p: Prepared, *, precision: Precision = "auto", batch: int | None = None) -> None:
        self.p, self.asked = p, precision
        height, width = p.pixels.shape[-2:]
        device = p.pixels.device.type
        times = 32 if device == "cuda" else KEPT if freed_memory_kept() else 1
        self.batch = batch or max(1, min(512, times * AT_ONCE // (height * width)))
        chosen = settings(str(p.pixels.device), precision)
        half = next((parameter.dtype for parameter in p.network.parameters() if parameter.is_floating_point()), torch.float32)
        self.bf16 = chosen.precision == "bf16" and half == torch.float32 and p.pixels.dtype == torch.float32
        if precision == "bf16" and not self.bf16:
            raise ArgumentError(f"precision: bf16 is for float32 networks, this one is {half}; use precision='auto'")
        self.quick = copy.copy(p)
        self.quick.network = p.network
        self.overwriting: list[nn.ReLU] = []
        self.weights: list[nn.Parameter] = []
        self.incremental: Incremental | None = None
        self.agreements, self.differences = list[float](), list[float]()
        self._picture: Tensor | None = None
        self._whole = False
        """Whether running only a part of the network again was tried and does not do, or is not worth it."""
        self._make(last=chosen.channels_last)

    def run(self, count: int, make: Callable[[Tensor], Tensor], of: Callable[[Tensor], Tensor], *, around: Tensor | None = None) -> Run:
        """Return the logits of `count` variations; `make(numbers)` gives their pixels, `of(logits)` the figure M whose order must hold in bf16.

        `around`: a picture C H W from which each variation differs in a small part.
        """
        every = torch.arange(count)
        self._picture = around if around is not None and self._agrees(count, make, around) else None
        if not self.bf16 or (self.asked == "auto" and count <= 2 * SAMPLE):
            return Run(self._logits(every, make, "fp32"), "fp32")
        try:
            found = self._logits(every, make, "bf16")
        except Exception as error:
            if self.asked == "bf16":
                raise ArgumentError(f"precision: this network does not run in bf16 ({error}); use precision='auto' or 'fp32'") from error
            self.bf16 = False
            run = Run(self._logits(every, make, "fp32"), "fp32")  # what is wrong with it in float32 too is raised here
            self.p.notes.append(f"computed in float32: this network does not run in bf16 ({str(error).splitlines()[0][:120]})")
            return run
        if self.asked == "bf16":
            return Run(found, "bf16")
        figures = of(found)
        sample = figures.argsort(stable=True)[torch.linspace(0, count - 1, SAMPLE, device=figures.device).round().long()].cpu()
        rough, exact = figures[sample.to(figures.device)], of(self._logits(sample, make, "fp32"))
        self.agreements.append(_rank_correlation(rough, exact))
        self.differences.append(float((rough - exact).abs().max() / (exact.max() - exact.min()).clamp_min(1e-30)))
        if self.agreements[-1] >= AGREEMENT:
            return Run(found, "bf16")
        return Run(self._logits(every, make, "fp32"), "fp32")

    def gradients(self, count: int, make: Callable[[Tensor], Tensor], target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the scores and pixel gradients of `count` variations in float32, batch by batch; `target` is one class, a tensor without axes."""
        self._overwrite(False)
        for weight in self.weights:
            weight.requires_grad_(False)
        for numbers in torch.split(torch.arange(count), self.batch):
            yield scores_and_gradients(self.quick, make(numbers), target.expand(len(numbers)))

    def receipts(self) -> dict[str, float]:
        """Return the least rank correlation of bf16 with float32 and, of what was believed, the largest difference; empty where none was compared."""
        believed = [far for near, far in zip(self.agreements, self.differences, strict=True) if near >= AGREEMENT]
        found = {"bf16_rank_correlation": min(self.agreements)} if self.agreements else {}
        return found | ({"bf16_difference": max(believed)} if believed else {})

    def told(self) -> list[str]:
        """Return what a person should know about the precision of all pictures that were compared."""
        refused = [value for value in self.agreements if value < AGREEMENT]
        if not refused:
            return []
        few = f"{len(refused)} of {len(self.agreements)} pictures"
        return [f"{few} were computed in float32: bf16 changed the order of the variations (rank correlation down to {min(refused):.3f})"]

    def _logits(self, numbers: Tensor, make: Callable[[Tensor], Tensor], precision: Literal["fp32", "bf16"]) -> Tensor:
        device = self.p.pixels.device.type
        self._overwrite(True)
        runner = self.quick
        for weight in self.weights:
            weight.requires_grad_(precision == "bf16")  # autocast rounds such weights once, others anew in every batch
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            if self._picture is not None and self.incremental is not None:
                runner = copy.copy(self.quick)
                runner.network = self.incremental
                self.incremental.around(runner.preprocess(self._picture[None]))
            try:
                return torch.cat([runner.model(make(part)) for part in torch.split(numbers, self.batch)])
            finally:
                if self.incremental is not None:
                    self.incremental.around(None)

    def _agrees(self, count: int, make: Callable[[Tensor], Tensor], picture: Tensor) -> bool:
        """Tell whether running variations only where they differ gives what running them whole does: first, middle and last of them, in float32."""
        if count < FEW or self.quick.network is self.p.network or self._whole:
            return False
        if self.incremental is None:
            try:
                self.incremental = Incremental(self.quick.network)
            except StriateError:  # it cannot be followed
                self._whole = True
                return False
        some = torch.tensor(sorted({0, count // 2, count - 1}))
        self._picture = None
        wanted = self._logits(some, make, "fp32")
        self._picture = picture
        given = self._logits(some, make, "fp32")
        same = given.shape == wanted.shape and _same(given, wanted)
        if not same:
            self.p.notes.append("this network computes something else where only a part of it is run again, so it was run whole")
        self._whole = not same or not self.incremental.work.worth(min(count, self.batch))
        return not self._whole

    def _make(self, *, last: bool) -> None:
        made = _copied(self.p.network)
        if made is None:
            return
        if last and self.p.layout.takes:
            made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = [parameter for parameter in made.parameters() if parameter.requires_grad_(False).dtype == torch.float32]
        trial = copy.copy(self.p)
        trial.network, trial.layout = made, Layout(self.weights, takes=self.p.layout.takes)
        order: list[str] = []
        names = [name for name, module in made.named_modules() if name and isinstance(module, _WEIGHTED)]
        with torch.no_grad(), edited(made, {name: partial(_passed, order, name) for name in names}) if names else nullcontext():
            given = trial.model(self.p.pixels[:1])
        wanted = self.p.logits[:1]
        if not _same(given, wanted):
            self.p.notes.append("a faster copy of this network does not compute the same, so the network itself was run")
            return
        self.overwriting = self._writable(trial)
        if self.bf16 and order:
            _keep_exact(made.get_submodule(order[-1]), self.p.pixels.device.type)
        self.quick.network, self.quick.layout = made, trial.layout

    def _writable(self, trial: Prepared) -> list[nn.ReLU]:
        """Return the ReLUs that may write over their input: all, or none where a picture or noise tells that another box reads it."""
        noise = torch.rand(self.p.pixels[:1].shape, generator=torch.Generator().manual_seed(0)).to(self.p.pixels)
        seen = torch.cat([self.p.pixels[:1], noise, 1 - noise])
        relus = [module for module in trial.network.modules() if isinstance(module, nn.ReLU) and not module.inplace]
        with torch.no_grad():
            wanted = trial.model(seen)
            self._set(relus, True)
            same = torch.equal(trial.model(seen), wanted)
        self._set(relus, False)
        return relus if same else []

    @staticmethod
    def _set(relus: list[nn.ReLU], yes: bool) -> None:
        for module in relus:
            module.inplace = yes

    def _overwrite(self, yes: bool) -> None:
        """Let the copy's ReLUs write over their input, which spares memory, where no gradient needs it."""
        self._set(self.overwriting, yes)


def _copied(network: nn.Module) -> nn.Module | None:
    """Return a copy to work on, batch norms folded where that is possible; None for a network that cannot be copied."""
    with suppress(Exception):  # no batch norms, or a network that cannot be followed: a plain copy does
        return fuse_batch_norm(network)
    with suppress(Exception):  # what cannot be copied runs as it is, only slower
        return copy.deepcopy(network)
    return None


def _same(given: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(given, wanted, rtol=0, atol=1e-4 * max(1e-6, float(wanted.abs().max())))


def _passed(order: list[str], name: str, output: Any) -> Any:
    order.append(name)
    return output


def _keep_exact(layer: nn.Module, device: str) -> None:
    inner = layer.forward

    dtype = next((p.dtype for p in layer.parameters() if p.is_floating_point()), torch.float32)

    def forward(x: Tensor) -> Any:
        with torch.autocast(device, enabled=False):
            return inner(x.to(dtype))

    layer.forward = forward


def _rank_correlation(first: Tensor, second: Tensor) -> float:
    from scipy.stats import rankdata

    one, other = (rankdata(values.double().cpu().numpy()) for values in (first, second))
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else float(np.array_equal(one, other))
