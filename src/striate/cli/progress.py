"""Watching a training run from a terminal: one line with rate and time left; one plain line an epoch in a pipe; nothing when quiet.

Everything goes to stderr. The loss stays on the device and is read a few times a second only, since reading it waits for the device.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from striate.cli.output import ACCENT, console, duration, percent

if TYPE_CHECKING:
    import torch
    from rich.live import Live
    from rich.table import Table

REDRAW = 0.2
"""Seconds between two redraws, and so between two readings of the loss."""
WINDOW = 3.0
"""Seconds over which the rate is averaged."""


class Watcher:
    """What every way of watching shares: where training stands and how fast it goes. Quiet by itself: it prints nothing."""

    def __init__(self) -> None:
        self.title, self.epochs, self.steps, self.step = "", 0.0, 0, 0
        self.rate: float | None = None
        """Samples a second, over the last seconds."""
        self.steps_rate: float | None = None
        self.notes: list[str] = []
        self._marks: deque[tuple[float, int, int]] = deque()
        self._samples = 0

    def __enter__(self) -> Self:
        """Start watching."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the terminal as it was found, whatever happened."""
        self.close()

    def close(self) -> None:
        """Take down what is drawn."""

    def started(self, title: str, *, epochs: float, steps: int, start: int) -> None:
        """Training begins (or goes on) at global step `start` of `steps`."""
        self.title, self.epochs, self.steps, self.step = title, epochs, steps, start
        self._marks.clear()
        self._marks.append((time.perf_counter(), self._samples, start))

    def stepped(self, step: int, *, samples: int, loss: torch.Tensor) -> None:  # noqa: ARG002 - the quiet one does not look at it
        """Count a step; called once a step, so it does next to nothing."""
        self.step = step
        self._samples += samples

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def note(self, text: str) -> None:
        """Keep a note; a quiet watcher shows none."""
        self.notes.append(text)

    def finished(self, summary: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Training is over."""
        self.close()

    @property
    def epoch(self) -> int:
        """The running epoch, counted from 1."""
        return max(1, min(math.ceil(self.epochs), math.ceil(self.epochs * self.step / max(1, self.steps))))

    @property
    def left(self) -> float | None:
        """Seconds left at the present rate; None before there is one."""
        return (self.steps - self.step) / self.steps_rate if self.steps_rate else None

    def measure(self, now: float) -> None:
        """Bring the rates up to date."""
        self._marks.append((now, self._samples, self.step))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW:
            self._marks.popleft()
        then, samples, step = self._marks[0]
        if now > then:
            self.rate = (self._samples - samples) / (now - then)
            self.steps_rate = (self.step - step) / (now - then) or None


class Lines(Watcher):
    """One plain line an epoch, for pipes and files."""

    def __init__(self) -> None:
        super().__init__()
        self._out = console(sys.stderr)

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's figures."""
        self.measure(time.perf_counter())
        self._out.print(f"epoch {row.get('epoch', self.epoch)}/{math.ceil(self.epochs)}  {figures_of(row)}", soft_wrap=True)

    def note(self, text: str) -> None:
        """Print the note."""
        super().note(text)
        self._out.print(text, soft_wrap=True)


class Line(Watcher):
    """One line that is redrawn in place: epoch, bar, loss, rate, time left."""

    def __init__(self) -> None:
        super().__init__()
        self._out = console(sys.stderr)
        self._live: Live | None = None
        self._drawn = 0.0
        self._loss = math.nan
        self._error: float | None = None

    def close(self) -> None:
        """Remove the line and give the cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def started(self, title: str, *, epochs: float, steps: int, start: int) -> None:
        """Draw the line for the first time."""
        from rich.live import Live

        super().started(title, epochs=epochs, steps=steps, start=start)
        if self._live is None:
            self._live = Live(self._line(), console=self._out, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
            self._live.start(refresh=True)

    def stepped(self, step: int, *, samples: int, loss: torch.Tensor) -> None:
        """Redraw when the last time is long enough ago; only then is the loss read."""
        super().stepped(step, samples=samples, loss=loss)
        now = time.perf_counter()
        if now - self._drawn >= REDRAW:
            self._drawn, self._loss = now, float(loss)
            self.measure(now)
            self._refresh()

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """Show the epoch's error from now on."""
        error = row.get("val/error", row.get("train/error"))
        self._error = float(error) if error is not None else None
        self._refresh()

    def note(self, text: str) -> None:
        """Print the note above the line."""
        super().note(text)
        self._out.print(text, style="dim")

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._line(), refresh=True)

    def _line(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        parts = [Text(f"epoch {self.epoch}/{math.ceil(self.epochs)}", style="bold")]
        line.add_column(no_wrap=True)
        line.add_column(ratio=1, min_width=6)
        bar = ProgressBar(total=max(1, self.steps), completed=self.step, complete_style=ACCENT, finished_style=ACCENT)
        if not math.isnan(self._loss):
            parts.append(Text(f"loss {self._loss:.3f}"))
        if self._error is not None and self._out.width >= 70:
            parts.append(Text(f"error {percent(self._error)}"))
        if self.rate:
            parts.append(Text(f"{self.rate:,.0f}/s", style="dim"))
        if self.left is not None:
            parts.append(Text(f"{duration(self.left)} left", style=ACCENT))
        for _ in parts[1:]:
            line.add_column(no_wrap=True, justify="right")
        line.add_row(parts[0], bar, *parts[1:])
        return line


def watcher(*, quiet: bool = False) -> Watcher:
    """Return the way of watching that fits where stderr goes."""
    if quiet:
        return Watcher()
    return Line() if sys.stderr.isatty() and not console(sys.stderr).is_dumb_terminal else Lines()


def figures_of(row: Mapping[str, Any]) -> str:
    """Spell a history row: errors in percent, the rate with its unit."""
    words = []
    for key, label in (("train/loss", "loss"), ("train/error", "error"), ("val/loss", "val loss"), ("val/error", "val error")):
        value = row.get(key)
        if value is not None:
            words.append(f"{label} {percent(value) if key.endswith('error') else format(value, '.4f')}")
    if row.get("rate"):
        words.append(f"{row['rate']:,.0f} samples/s")
    return "  ".join(words)
