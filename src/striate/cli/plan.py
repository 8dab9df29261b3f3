"""From the words of `striate train` to a checked plan, in milliseconds: names, numbers and settings are judged before torch is imported."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from striate.cli.choose import Chosen, chosen_data
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, StorageError, UnknownNameError, nearest
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
    transfer: Mapping[str, Any] | None = None
    """Keywords of `striate.transfer.fine_tune`, where the run starts from pretrained weights."""

    def recipe(self, model: str, data: Any) -> Recipe:
        """Return the recipe that will be used: the one named, or the default of network and data, with the edits."""
        from striate.training import recipes

        named = self.keywords.get("recipe")
        if named is not None:
            return recipes.get(named).edited(**self.edits)
        base = recipes.default(model, recipes.known_as(data), self.keywords.get("task", "classify"), recipes.samples_of(data))
        return base.edited(**self.edits)

    def python(self, model: str) -> str:
        """Return the Python that does the same."""
        what = Source(self.data.python) if self.data.keywords else self.data.spec
        if self.transfer is not None:
            return python_call("st.fine_tune", [model, what], {n: str(v) if isinstance(v, Path) else v for n, v in self.transfer.items()})
        return python_call(
            "st.train", [model, what], {name: str(value) if isinstance(value, Path) else value for name, value in self.keywords.items()}
        )


def make_plan(
    data: str,
    *,
    model: str | None = None,
    task: str = "classify",
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
    weights: str | None = None,
    at: Sequence[str] = (),
) -> Plan:
    """Check every word; raises `ArgumentError` that names the flag, what came and what is allowed."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ArgumentError(f"--device: got {device!r}, expected auto, cpu, cuda, cuda:N or mps")
    if folder is not None and folder.is_file():
        raise ArgumentError(f"--folder: {folder} is a file; give a folder that does not exist yet")
    if folder is not None and (folder / "run.json").exists():
        raise StorageError(f"--folder: {folder} already holds a run; go on with `striate resume {shlex.quote(str(folder))}`, or give another folder")
    chosen = chosen_data(data, data_options, size=None if weights is not None else size)
    if task == "localise":
        chosen = _with_boxes(chosen)
    _check_names(model, recipe)
    _check_weights(strategy, weights, model, recipe)
    if task == "localise" and weights is not None:
        _check_trunk(strategy, at)
    if at and (weights is None or strategy == "scratch"):
        raise ArgumentError(
            f"--at {at[0]}: it says where a pretrained network's codes are read; give it with --weights, and another strategy than scratch"
        )
    if epochs is not None and epochs.is_integer():
        epochs = int(epochs)  # it reads better in the Python that is printed
    lengths = {name: value for name, value in (("epochs", epochs), ("lr", lr), ("batch", batch)) if value is not None}
    settings = _settings(edits, lengths)
    if weights is not None and strategy in ("linear", "svm") and (lengths or settings):
        raise ArgumentError(
            f"--strategy {strategy}: it fits a head in closed form and has no recipe, so {', '.join({**lengths, **settings})} would say nothing; "
            f"leave it out, or choose --strategy finetune"
        )
    optional = {"recipe": recipe, "folder": folder, **lengths}
    keywords: dict[str, Any] = {name: value for name, value in optional.items() if value is not None} | {"seed": seed}
    keywords |= {"task": task} if task != "classify" else {}
    keywords |= {name: value for name, value in (("device", device), ("precision", precision)) if value != "auto"}
    if settings:
        keywords["settings"] = settings
    if model_options:
        keywords["options"] = _options(model, model_options)
    if weights is not None:
        return Plan(chosen, model, keywords, lengths | settings, _transfer(keywords, weights, strategy, size, at, lengths | settings))
    return Plan(chosen, model, keywords, lengths | settings)


def _with_boxes(chosen: Chosen) -> Chosen:
    """Return the data for the task localise: whole pictures, for the usual cut to the centre may lose a box; refuse data that never have boxes."""
    if chosen.source not in ("csv", "jsonl", "pasted"):
        raise ArgumentError(
            f"--task localise: {chosen.spec} has no boxes; they come from a table (.csv or .jsonl) with columns file, class, x, y, w, h (pixels), "
            f"or from pasted, digits on photographs"
        )
    if chosen.source == "pasted" or "resize" in chosen.keywords:
        return chosen
    return replace(chosen, keywords={**chosen.keywords, "resize": "pad"})


def _check_weights(strategy: str, weights: str | None, model: str | None, recipe: str | None) -> None:
    """Refuse words of transfer learning that do not go together; a file that is not there is said with the nearest name."""
    if weights is None:
        if strategy in ("linear", "svm", "finetune"):
            raise ArgumentError(
                f"--strategy {strategy}: it starts from pretrained weights, and none are named. Give --model NAME with --weights FILE "
                f"(a .safetensors or .pth file) or --weights published (torchvision's file for the model, fetched once); "
                f"without weights use --strategy scratch"
            )
        return
    if model is None:
        raise ArgumentError("--weights: say which network they are for: --model NAME (striate models lists them, with the weights that fit)")
    if recipe is not None:
        raise ArgumentError("--recipe: with --weights the strategy chooses the recipe; change its fields by --set")
    if weights.partition(":")[0] == "published":
        from striate.zoo.published import published

        published(model, weights.partition(":")[2] or None)
        return
    path = Path(weights).expanduser()
    if not path.is_file():
        close = nearest(path.name, [entry.name for entry in path.parent.iterdir()]) if path.parent.is_dir() else []
        raise StorageError(f"--weights: {weights}: no such file.{f' Did you mean {path.parent / close[0]}?' if close else ''}")


def _check_trunk(strategy: str, at: Sequence[str]) -> None:
    """Refuse words of transfer learning that say nothing where heads for class and box are trained on a trunk."""
    if strategy in ("linear", "svm", "scratch"):
        instead = "leave out --weights" if strategy == "scratch" else "--set freeze=trunk trains heads on a trunk that stays as it is"
        raise ArgumentError(
            f"--strategy {strategy}: with --task localise two fresh heads are trained on the trunk, and the trunk with them; {instead}"
        )
    if len(at) > 1:
        raise ArgumentError(f"--at: got {', '.join(at)}; with --task localise it is the one layer after which the trunk ends")


def _transfer(
    keywords: Mapping[str, Any], weights: str, strategy: str, size: int | None, at: Sequence[str], edits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keywords of `fine_tune`, only those that differ from its defaults."""
    given: dict[str, Any] = {"weights": weights} | {name: value for name, value in keywords.items() if name == "task"}
    given |= {"strategy": strategy} if strategy != "auto" else {}
    given |= {"size": size} if size is not None else {}
    given |= {"at": tuple(at)} if at else {}
    given |= {name: value for name, value in keywords.items() if name in ("folder", "seed", "device", "precision", "options")}
    return given | ({"settings_of_recipe": dict(edits)} if edits else {})


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
