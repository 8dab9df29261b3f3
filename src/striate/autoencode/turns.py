"""Trainings that take turns in one folder: stopped at any time, the same call goes on where it stopped and ends with the same result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from striate.core.contracts import Progress, Recipe
from striate.core.errors import Interrupted, StorageError
from striate.core.runtime import Precision
from striate.core.storage import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

    from striate.training import Run

PLAN, FIRST = "turns.json", "first.safetensors"
FORMAT = 1
WHOLE = ""
"""The name of the turn whose run is the folder itself."""


class Stopped(Interrupted):
    """Ctrl-C or a termination signal between or during turns: `done` says what is kept, `folder` where (None: nowhere)."""

    def __init__(self, done: str, folder: Path | None) -> None:
        self.done, self.folder = done, folder
        super().__init__(done if folder is None else f"{done}. Go on: the same again, with the folder {folder}")


class Turns:
    """Runs under `folder`, one after the other; entered, it turns an interruption into `Stopped`.

    `names`: each turn's folder and what it is in words. `settings`: what the result hangs on, as JSON values; where the folder holds turns already,
    they have to be the same, and these turns go on. `first`: a network whose weights all begins from; they are kept until `finish`, and put back into
    it. `kept`: whether the folder outlives the call.

    Raises `StorageError` for a folder with turns of other settings, with finished ones, or with runs that are no turns of this.
    """

    def __init__(
        self,
        folder: Path,
        names: Mapping[str, str],
        settings: Mapping[str, Any],
        *,
        first: nn.Module | None = None,
        progress: Progress | None = None,
        kept: bool = True,
    ) -> None:
        import torch

        from striate.core.tensors import load_tensors, save_tensors
        from striate.training.checkpoint import load_weights

        self.folder, self.names, self.progress, self.kept = folder, dict(names), progress, kept
        self._now: str | None = None
        wanted = json.loads(json.dumps(settings))
        begun = next((name for name in names if (folder / name / "run.json").exists()), None)
        if begun is not None:
            _check_same(folder, folder / begun, wanted)
            threads = int(read_json(folder / PLAN)["threads"])
            if threads != torch.get_num_threads():
                self._note(f"using {threads} threads as these trainings began with (bits depend on it)")
                torch.set_num_threads(threads)
            if first is not None:
                load_weights(first, load_tensors(folder / FIRST)[0], folder / FIRST)
            return
        folder.mkdir(parents=True, exist_ok=True)
        if first is not None and kept:
            save_tensors(folder / FIRST, first.state_dict())
        write_json(folder / PLAN, {"format": FORMAT, "finished": False, "threads": torch.get_num_threads(), "settings": wanted})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Say what an interruption leaves behind, in the stopped run's folder too; raises `Stopped`."""
        if not isinstance(error, (Interrupted, KeyboardInterrupt)):
            return
        where = f"stopped during {self.names[self._now]}" if self._now is not None else "stopped"
        if not self.kept:
            raise Stopped(f"{where}; nothing is kept, because no folder was given", None) from error
        stop = Stopped(f"{where}; everything is saved in {self.folder}", self.folder)
        if self._now is not None and (self.folder / self._now / "run.json").exists():
            from striate.training import Run

            run = Run(self.folder / self._now)
            if run.state == "stopped":
                run.update({"reason": str(stop)})
        raise stop from error

    def take(
        self,
        name: str,
        model: nn.Module,
        data: Any,
        *,
        task: str,
        recipe: Recipe,
        epochs: float | None,
        seed: int,
        device: str,
        precision: Precision,
        lr: float | None = None,
        batch: int | None = None,
    ) -> Run:
        """Train `model` in place and return its run: from the start, from where its turn was stopped, or not at all where it is finished."""
        from striate.training import Run, resume, train

        place, self._now = self.folder / name, name
        if not (place / "run.json").exists():
            run = train(
                model,
                data,
                recipe=recipe,
                task=task,
                folder=place,
                epochs=epochs,
                lr=lr,
                batch=batch,
                seed=seed,
                device=device,
                precision=precision,
                progress=self.progress,
            )
        elif Run(place).state == "finished":
            self._note(f"{self.names[name]} is finished already and kept")
            run = _finished(Run(place), model, data, device)
        else:
            self._note(f"going on with {self.names[name]}")
            own = None if device == "auto" else device
            exact = None if precision == "auto" else precision
            run = resume(place, model=model, data=data, device=own, precision=exact, progress=self.progress)
        self._now = None
        return run

    def finish(self) -> None:
        """All turns are taken and what is made of them is written: the folder takes no further ones."""
        write_json(self.folder / PLAN, read_json(self.folder / PLAN) | {"finished": True})
        (self.folder / FIRST).unlink(missing_ok=True)

    def _note(self, text: str) -> None:
        if self.progress is not None:
            self.progress.note(text)


def unfinished(folder: Path) -> bool:
    """Return whether the folder holds turns that the same call would go on with."""
    return (folder / PLAN).exists() and not read_json(folder / PLAN).get("finished")


def _check_same(folder: Path, begun: Path, wanted: Mapping[str, Any]) -> None:
    if not (folder / PLAN).exists():
        raise StorageError(f"folder: {begun} already holds a run that is not of these trainings; give another folder")
    plan = read_json(folder / PLAN)
    if plan.get("format", 0) > FORMAT:
        raise StorageError(f"{folder / PLAN}: written by a newer striate (format {plan['format']}, this one reads up to {FORMAT})")
    if plan["finished"]:
        raise StorageError(f"folder: {folder} already holds a run, and it is finished; give another folder")
    known = plan["settings"]
    changed = [name for name in {**known, **wanted} if known.get(name) != wanted.get(name)]
    if changed:
        told = [f"{name} ({known.get(name)} there, {wanted.get(name)} now)" if _short(known, wanted, name) else name for name in changed]
        raise StorageError(
            f"folder: {folder} holds trainings begun with another {', '.join(told)}; give the same again to go on with them, or another folder"
        )


def _short(known: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> bool:
    return all(isinstance(given.get(name), (int, float, str)) and len(str(given[name])) < 24 for given in (known, wanted))


def _finished(run: Run, model: nn.Module, data: Any, device: str) -> Run:
    """Put a finished run's weights into its network, laid out in memory as training left it: bits hang on that too."""
    from striate.core.runtime import settings
    from striate.core.tensors import load_tensors
    from striate.training import Run as Opened
    from striate.training.checkpoint import FINAL, load_weights
    from striate.training.forward import placed

    use = settings(run.facts["device"] if device == "auto" else device, run.facts["precision"])
    network, _ = placed(model, use, data.shape)
    load_weights(network, load_tensors(run.folder / FINAL)[0], run.folder / FINAL)
    network.eval()
    return Opened(run.folder, model=None if run.facts["model"].get("foreign") is None else network)
