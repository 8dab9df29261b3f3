"""Watching: rates and time left by arithmetic, the loss read rarely, the right form for terminal, pipe and quiet."""

from __future__ import annotations

import io
import sys

import pytest

from striate.cli import progress
from striate.cli.output import duration, percent
from striate.cli.progress import Line, Lines, Watcher, figures_of, watcher


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loss:
    """Stands for a loss on the device; counts how often it is waited for."""

    def __init__(self) -> None:
        self.read = 0

    def __float__(self) -> float:
        self.read += 1
        return 0.5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", made)
    return made


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called inside the test: pytest puts its own stderr back between set-up and call."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return made


def test_rate_and_time_left(clock: Clock) -> None:
    watch = Watcher()
    watch.started("lenet5 on digits", epochs=10, steps=1000, start=200)
    for step in range(201, 301):
        clock.now += 0.01
        watch.stepped(step, samples=64, loss=Loss())  # type: ignore[arg-type]
    watch.measure(clock.now)
    assert watch.rate == pytest.approx(6400)
    assert watch.left == pytest.approx(7.0), "700 steps at 100 a second"
    assert watch.epoch == 3


def test_the_rate_follows_the_last_seconds(clock: Clock) -> None:
    watch = Watcher()
    watch.started("x", epochs=1, steps=100, start=0)
    for step in range(1, 101):
        clock.now += 0.1 if step <= 50 else 0.2
        watch.stepped(step, samples=10, loss=Loss())  # type: ignore[arg-type]
        watch.measure(clock.now)
    assert watch.rate == pytest.approx(50, rel=0.05)


def test_terminal_line_reads_the_loss_five_times_a_second(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    loss = Loss()
    with watcher() as watch:
        assert isinstance(watch, Line)
        watch.started("x", epochs=2, steps=400, start=0)
        for step in range(1, 401):
            clock.now += 0.01
            watch.stepped(step, samples=64, loss=loss)  # type: ignore[arg-type]
        watch.epoch_ended({"epoch": 2, "val/error": 0.0125})
    text = terminal.getvalue()
    assert 19 <= loss.read <= 21, "four seconds"
    for expected in ("epoch 1/2", "epoch 2/2", "loss 0.500", "6,400/s", "s left", "error 1.25 %"):
        assert expected in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text[-40:], "the cursor is given back"


def test_an_exception_gives_the_cursor_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    def failing() -> None:
        with watcher() as watch:
            watch.started("x", epochs=2, steps=4, start=0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert "\x1b[?25h" in terminal.getvalue()


def test_a_pipe_gets_one_plain_line_an_epoch(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    loss = Loss()
    with watcher() as watch:
        assert isinstance(watch, Lines)
        watch.started("x", epochs=2, steps=4, start=0)
        watch.note("using 2 threads")
        for step in (1, 2):
            clock.now += 1
            watch.stepped(step, samples=64, loss=loss)  # type: ignore[arg-type]
        watch.epoch_ended({"epoch": 1, "train/loss": 0.5, "train/error": 0.25, "val/loss": 0.4, "val/error": 0.125, "rate": 1234.5})
    told = capsys.readouterr()
    assert loss.read == 0
    assert told.out == ""
    assert told.err == "using 2 threads\nepoch 1/2  loss 0.5000  error 25.00 %  val loss 0.4000  val error 12.50 %  1,234 samples/s\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watcher(quiet=True) as watch:
        watch.started("x", epochs=2, steps=4, start=0)
        watch.note("x")
        watch.stepped(1, samples=1, loss=Loss())  # type: ignore[arg-type]
        watch.epoch_ended({"epoch": 1})
        watch.finished({})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (4.25, "4.2 s"), (59.6, "60 s"), (59.97, "1 min 00 s"), (60.2, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_figures() -> None:
    assert percent(0.01234) == "1.23 %"
    assert percent(None) == ""
    assert figures_of({"train/loss": float("nan")}) == "loss nan"
