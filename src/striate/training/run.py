"""A run: a handle on the folder that holds everything about one training, valid from the moment the folder is made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from striate.core.contracts import ModelSpec, Recipe, Task
from striate.core.errors import ArgumentError, StorageError
from striate.core.storage import read_json, write_json, write_text
from striate.core.tensors import load_tensors
from striate.data.vocabulary import Vocabulary
from striate.pixels import Preprocess
from striate.training.checkpoint import BEST, FINAL, LAST, load_weights

FORMAT = 1
"""Version of the folder's layout; newer ones are refused."""
NEEDED = ("state", "model", "classes", "task", "preprocess")
"""What every `run.json` says."""


class Run:
    """One training's folder: how it was started, how it went, what came out. Making a `Run` reads `run.json` and nothing else."""

    def __init__(self, folder: str | Path, *, model: nn.Module | None = None) -> None:
        self.folder = Path(folder)
        self._given = model
        if not (self.folder / "run.json").exists():
            raise StorageError(f"{self.folder}: not a run (no run.json there); `striate runs` lists the runs")
        self.facts: dict[str, Any] = read_json(self.folder / "run.json")
        missing = [name for name in NEEDED if not isinstance(self.facts, dict) or name not in self.facts]
        if missing:
            raise StorageError(f"{self.folder / 'run.json'}: says no {missing[0]}, so it is not all that a run wrote; use a copy, or train anew")
        if self.facts.get("format", 0) > FORMAT:
            raise StorageError(f"{self.folder}: written by a newer striate (format {self.facts['format']}, this one reads up to {FORMAT})")

    @classmethod
    def load(cls, folder: str | Path, *, model: nn.Module | None = None) -> Run:
        """Open a run's folder; `model` is needed only where the network was not built by the zoo.

        Where a linear head was put on the codes of a network of one's own, that network: the run knows at which layers, and puts the head on a copy.
        """
        return cls(folder, model=model)

    @classmethod
    def create(cls, folder: Path, facts: Mapping[str, Any]) -> Run:
        """Make the folder's `run.json` (atomically) and return the handle."""
        write_json(folder / "run.json", {"format": FORMAT, **facts})
        return cls(folder)

    def update(self, facts: Mapping[str, Any]) -> None:
        """Change entries of `run.json`, atomically."""
        self.facts |= dict(facts)
        write_json(self.folder / "run.json", self.facts)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch, in order; empty before the first epoch's end."""
        path = self.folder / "history.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    def keep_history(self, rows: int) -> None:
        """Drop all rows after the first `rows`: what a killed process wrote beyond its last checkpoint."""
        kept = self.history[:rows]
        write_text(self.folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
        self._write_csv(kept)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append one epoch to `history.jsonl` and rewrite `history.csv`."""
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, allow_nan=False) + "\n")
        self._write_csv(self.history)

    def _write_csv(self, rows: list[dict[str, Any]]) -> None:
        import csv
        import io

        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "history.csv", text.getvalue())

    @property
    def state(self) -> str:
        """`running`, `finished`, `stopped` (by the user) or `failed`; a killed run still says `running`."""
        return str(self.facts["state"])

    @property
    def result(self) -> dict[str, Any] | None:
        """The figures at the end; None before it."""
        path = self.folder / "result.json"
        return read_json(path) if path.exists() else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.facts["classes"])

    @property
    def recipe(self) -> Recipe:
        """How it was trained."""
        return Recipe.from_json(self.facts["recipe"])

    @cached_property
    def preprocess(self) -> Preprocess | Vocabulary:
        """What turns pixels, or words, into this network's input."""
        facts = self.facts["preprocess"]
        if facts.get("kind") == "words":
            return Vocabulary.from_json(facts)
        path = self.folder / "preprocess.safetensors"
        return Preprocess.from_json(facts, load_tensors(path)[0] if path.exists() else {})

    @cached_property
    def task(self) -> Task:
        """What it was trained for."""
        from striate.training.registry import tasks

        made: Task = tasks.get(self.facts["task"])(**self.facts.get("task_options", {}))
        return made

    @cached_property
    def model(self) -> nn.Module:
        """The network in evaluation mode with the run's weights: the final ones, or the last checkpoint's of an unfinished run."""
        final = self.folder / FINAL
        if final.exists():
            return self._with(load_tensors(final)[0], final)
        last = self.folder / LAST
        if not last.exists():
            again = f"striate resume {shlex.quote(str(self.folder))}"
            raise StorageError(f"{self.folder}: no checkpoint yet (state: {self.state}); `{again}` trains it")
        tensors, _ = load_tensors(last)
        live = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        averaged = {name.removeprefix("average."): value for name, value in tensors.items() if name.startswith("average.")}
        return self._with(live | averaged, last)

    @cached_property
    def best(self) -> nn.Module:
        """The network with the weights of the best epoch on the validation part; where there is none, `model`."""
        path = self.folder / BEST
        return self._with(load_tensors(path)[0], path, aside=True) if path.exists() else self.model

    def build(self) -> nn.Module:
        """Build the network anew, as it was at the start but for its weights; raises `ArgumentError` for a network of the user's own."""
        if self._given is not None:
            return self._coded(self._given)
        spec = self.facts["model"]
        if spec.get("foreign"):
            raise ArgumentError(f"{self.folder}: the network {spec['name']} was not built by the zoo; pass it: Run.load(folder, model=...)")
        from striate.zoo import build

        made = ModelSpec.from_json(spec)
        network: nn.Module = build(made.name, classes=made.classes, input=made.input, options=made.options)
        return network

    def _coded(self, model: nn.Module) -> nn.Module:
        """Return the network that `model`, one of the user's own, was made into where the run fitted a head to its codes."""
        from striate.zoo.coded import Coded, coded, is_coded

        choice = self.facts.get("transfer", {}).get("choice")
        if choice is None or isinstance(model, Coded) or not is_coded(self.facts["model"]["name"]):
            return model
        return coded(model, choice["at"], len(self.classes), pool=choice["pool"], unit=choice["unit"], input=self.facts["data"]["shape"])

    def _with(self, values: dict[str, Any], path: Path, *, aside: bool = False) -> nn.Module:
        """Return the network with these weights; one of the user's own that Python cannot copy takes them itself, unless they stand `aside`."""
        import copy

        from striate.core.runtime import random_state_kept

        with random_state_kept():
            network = self.build()
            try:
                network = network if network is not self._given else copy.deepcopy(network)
            except (TypeError, RuntimeError, AttributeError, NotImplementedError, copy.Error) as error:
                if aside:
                    raise ArgumentError(
                        f"model: {type(network).__name__} cannot be copied by copy.deepcopy ({error}), so it holds the run's final weights alone; "
                        f"load those of {path} into a network of your own (striate.training.checkpoint.load_weights)"
                    ) from error
        load_weights(network, values, path)
        return network.eval()

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, state={self.state!r})"


def run_of(run: Any, *, word: str = "run") -> Run:
    """Return a run, or the one in the folder that is named; raises `ArgumentError` for what is neither, `StorageError` for another folder."""
    if isinstance(run, Run):
        return run
    if not isinstance(run, (str, Path)):
        raise ArgumentError(f"{word}: got a {type(run).__name__}, expected a run or the folder of one; st.evaluate takes a network as it is")
    if not Path(run).exists():
        raise ArgumentError(f"{word}: got {str(run)!r}, and no such folder exists; expected a run or the folder of one (`striate runs` lists them)")
    return Run.load(run)
