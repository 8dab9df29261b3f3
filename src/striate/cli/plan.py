"""From the words of `striate train` to a checked plan, in milliseconds: names, numbers and settings are judged before torch is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from striate.cli.choose import Chosen, chosen_data
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, StorageError, UnknownNameError
from striate.core.signature import Signature, Source, python_call


@dataclass(frozen=True)
class Plan:
    """What is to be trained on what, and how; names that were left open are None."""

    data: Chosen
    model: str | None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of `striate.training.train`, only those that differ from its defaults."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    """The recipe fields that `--set`, `--epochs`, `--lr` and `--batch` change."""

    def recipe(self, model: str, data: str) -> Recipe:
        """Return the recipe that will be used: the one named, or the default of network and data, with the edits."""
        from striate.training import recipes

        named = self.keywords.get("recipe")
        base = recipes.default(model, data) if named is None else recipes.get(named)
        return base.edited(**self.edits)

    def python(self, model: str) -> str:
        """Return the Python that does the same."""
        what = Source(self.data.python) if self.data.keywords else self.data.spec
        return python_call(
            "st.train", [model, what], {name: str(value) if isinstance(value, Path) else value for name, value in self.keywords.items()}
        )


def make_plan(
    data: str,
    *,
    model: str | None = None,
    recipe: str | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    folder: Path | None = None,
    edits: Sequence[str] = (),
    data_options: Sequence[str] = (),
    model_options: Sequence[str] = (),
    size: int | None = None,
    strategy: str = "auto",
) -> Plan:
    """Check every word; raises `ArgumentError` that names the flag, what came and what is allowed."""
    if strategy not in ("auto", "scratch"):
        raise ArgumentError(f"--strategy {strategy}: this comes with transfer learning, which is not part of this version; use auto or scratch")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ArgumentError(f"--device: got {device!r}, expected auto, cpu, cuda, cuda:N or mps")
    if folder is not None and folder.is_file():
        raise ArgumentError(f"--folder: {folder} is a file; give a folder that does not exist yet")
    if folder is not None and (folder / "run.json").exists():
        raise StorageError(f"--folder: {folder} already holds a run; go on with `striate resume {folder}`, or give another folder")
    chosen = chosen_data(data, data_options, size=size)
    _check_names(model, recipe)
    if epochs is not None and epochs.is_integer():
        epochs = int(epochs)  # it reads better in the Python that is printed
    lengths = {name: value for name, value in (("epochs", epochs), ("lr", lr), ("batch", batch)) if value is not None}
    settings = _settings(edits, lengths)
    optional = {"recipe": recipe, "folder": folder, **lengths}
    keywords: dict[str, Any] = {name: value for name, value in optional.items() if value is not None} | {"seed": seed}
    keywords |= {name: value for name, value in (("device", device), ("precision", precision)) if value != "auto"}
    if settings:
        keywords["settings"] = settings
    if model_options:
        keywords["options"] = _options(model, model_options)
    return Plan(chosen, model, keywords, lengths | settings)


def _check_names(model: str | None, recipe: str | None) -> None:
    from striate.training import recipes
    from striate.zoo import outside
    from striate.zoo.registry import architectures

    if model is not None and outside.is_outside(model):
        outside.check_name(model)
        model = None
    for flag, name, check in (("--model", model, architectures.entry), ("--recipe", recipe, recipes.get)):
        if name is not None:
            try:
                check(name)
            except UnknownNameError as error:
                raise UnknownNameError(f"{flag}: {error}") from None


def _options(model: str | None, assignments: Sequence[str]) -> dict[str, Any]:
    """Parse `--model-option` against the factory's signature; which factory must be said."""
    from striate.zoo import outside
    from striate.zoo.registry import architectures

    if model is None:
        raise ArgumentError("--model-option: say which network it is for: --model NAME")
    if outside.is_outside(model):
        return outside.options(assignments)
    signature = architectures.entry(model).signature
    allowed = Signature(tuple(p for p in signature.parameters if p.keyword_only))
    try:
        return allowed.parse(assignments)
    except ArgumentError as error:
        raise ArgumentError(f"--model-option: {error}") from None


def _settings(edits: Sequence[str], lengths: Mapping[str, Any]) -> dict[str, Any]:
    """Parse `--set` against the recipe's fields and check the values together with the flags that set fields too."""
    for edit in edits:
        if "=" not in edit:
            sample = edit if edit in Signature.of_dataclass(Recipe).names else "smoothing"
            raise ArgumentError(f"--set {edit}: expected KEY=VALUE, for example --set {sample}=0.1")
    try:
        settings = Signature.of_dataclass(Recipe).parse(edits)
    except ArgumentError as error:
        text = str(error)
        raise ArgumentError(text if text.startswith("--set") else f"--set: {text}") from None
    for name in lengths:
        if name in settings:
            raise ArgumentError(f"--{name} and --set {name}=... both set {name}; give one of them")
    try:
        Recipe(**{**settings, **lengths})
    except ArgumentError as error:
        name = str(error).removeprefix("recipe ").partition(":")[0]
        flag = f"--{name}" if name in lengths else f"--set {name}"
        raise ArgumentError(f"{flag}:{str(error).partition(':')[2]}") from None
    return settings
