"""What goes wrong while training, caught and explained: signals, numbers that are none, memory that is full."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from striate.core.contracts import Batch
from striate.core.errors import DivergenceError, MemoryLimitError
from striate.training.checkpoint import LAST, Position, broken

EXPLODED = 1e4
"""A loss this many times the first one has diverged, though it may still be finite."""
FULL = ("can't allocate memory", "not enough memory", "out of memory")
"""How torch says that memory is full: on the CPU of Linux and macOS, of Windows, on accelerators."""
ACCELERATOR_EVERY = 20
"""Reading the loss waits for an accelerator; there it is looked at every so many steps."""


class Interruption:
    """While it is entered, the first Ctrl-C or termination signal is only noted (`asked`); the second one is Python's own.

    Outside the main thread signals cannot be caught and it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self._before.get(signal.Signals(number)) or signal.SIG_DFL)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def check_loss(loss: Tensor, where: Position, *, last: bool = False) -> bool:
    """Whether the loss is a finite number that has not exploded; remembers the first one.

    Accelerators are asked only now and then, and at the `last` step of an epoch.
    """
    if loss.device.type != "cpu" and where.step % ACCELERATOR_EVERY and not last:
        return True
    value = float(loss.detach())
    if not math.isfinite(value):
        return False
    if where.first_loss is None:
        where.first_loss = value
    return value <= EXPLODED * max(1.0, abs(where.first_loss))


def explain_divergence(
    model: nn.Module,
    batch: Batch,
    loss: Tensor,
    where: Position,
    rate: float,
    folder: Path,
    steps_an_epoch: int,
    given: frozenset[str] = frozenset(),
) -> DivergenceError:
    """Build the error that says where the numbers went wrong first, why that happens and what is left."""
    value = float(loss.detach())
    epoch = where.step // steps_an_epoch + 1
    what = "exploded to" if math.isfinite(value) else "became"
    if not bool(torch.isfinite(batch.x).all()):
        cause = f"the input already holds values that are not numbers (samples {_bad_rows(batch)}); look at the data"
    else:
        cause = _blamed(model, where, rate, given)
    return DivergenceError(f"the loss {what} {value:.4g} at step {where.step + 1} (epoch {epoch}): {cause}. {_left(folder)}.")


def explain_figure(
    model: nn.Module, what: str, where: Position, rate: float, folder: Path, steps_an_epoch: int, given: frozenset[str] = frozenset()
) -> DivergenceError:
    """Build the error for a figure that is no number though no loss was: the step after the last look at it spoilt the weights."""
    epoch = max(1, -(-where.step // steps_an_epoch))
    return DivergenceError(f"{what} after step {where.step} (epoch {epoch}): {_blamed(model, where, rate, given, finite=True)}. {_left(folder)}.")


def _blamed(model: nn.Module, where: Position, rate: float, given: frozenset[str], *, finite: bool = False) -> str:
    """Say where the numbers went wrong and why; `finite`: no loss was out of range before it, `given`: what held no numbers before training."""
    spoilt = broken(model, given)
    found = [f"weights that are not numbers first stand in {spoilt}"] if spoilt else []
    if where.step == 0:
        found.insert(0, "no step had been taken yet, so the network itself gives it")
    elif not spoilt and finite:
        found.append("all weights are numbers: look at the pictures of this part, and at what the network or the task makes of them")
    else:
        found.append(f"the usual cause is too high a rate: it was {rate:.3g}, try lr={rate / 10:.2g}, a longer warm-up, or clip=1")
    return "; ".join(found)


def _left(folder: Path) -> str:
    last = folder / LAST
    return f"The last good checkpoint is {last}" if last.exists() else "No checkpoint was written before it"


def _bad_rows(batch: Batch) -> str:
    bad = ~torch.isfinite(batch.x.flatten(1)).all(1)
    return ", ".join(str(i) for i in batch.index[bad.cpu()][:5].tolist())


@contextmanager
def out_of_memory(batch: int, device: str) -> Iterator[None]:
    """Turn running out of memory into a `MemoryLimitError` that says what to lower."""
    try:
        yield
    except MemoryError as error:
        raise _memory_error(batch, device, error) from error
    except RuntimeError as error:
        text = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in FULL):
            raise _memory_error(batch, device, error) from error
        raise


def _memory_error(batch: int, device: str, error: BaseException) -> MemoryLimitError:
    half = max(1, batch // 2)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return MemoryLimitError(
        f"{device} ran out of memory with batch {batch}. Try batch={half} (and lr times {half / batch:.2g} to match), smaller pictures (--size), "
        f"or a smaller network. ({first})"
    )
