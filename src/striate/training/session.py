"""The front doors: `train` starts a run, `resume` goes on with one; both end in the same loop and the same last page."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import re
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate.core.arguments import whole_number
from striate.core.contracts import Data, Preprocess, Progress, Recipe, Task
from striate.core.errors import ArgumentError, DataError, Interrupted, StorageError
from striate.core.runtime import Precision, derived_seed, machine, random_state_kept, versions
from striate.core.runtime import settings as resolve
from striate.core.storage import clear_leftovers, lock, write_json
from striate.core.tensors import load_tensors, save_tensors
from striate.data.registry import parse_spec
from striate.data.splits import stratified
from striate.training import checkpoint, recipes, tasks
from striate.training.arguments import a_device, a_name_or_network, a_network, a_task, check_views, seconds
from striate.training.calibration import calibrated, few_of, head_for_scaling, undone
from striate.training.checkpoint import BEST, LAST, save_final
from striate.training.description import data_facts, name_of, spec_facts, spelled
from striate.training.evaluation import run_over
from striate.training.forward import placed
from striate.training.groups import up_to
from striate.training.loop import Training, check_figures, check_weights, fit
from striate.training.networks import network_for
from striate.training.registry import optimisers, schedules
from striate.training.run import Run
from striate.training.widened import widened

CALIBRATION_SEED = 7
"""Keeps the part held back for the temperature apart from the validation part."""
PATCHES = 5000
"""Training pictures from which `init="whiten-first"` takes the first layer's statistics."""

COMPILE_FROM = 1000
"""Steps from which compiling the network pays on CUDA; on the CPU it makes bf16 training slower."""


class Quiet:
    """A `Progress` that says nothing."""

    def started(self, title: str, *, epochs: float, steps: int, start: int) -> None:
        """Say nothing."""

    def stepped(self, step: int, *, samples: int, loss: torch.Tensor) -> None:
        """Say nothing."""

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Say nothing."""


def train(
    model: nn.Module | str,
    data: Data | str | Path,
    *,
    recipe: Recipe | str | Path | None = None,
    task: Task | str | None = None,
    folder: str | Path | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch: int | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    settings: Mapping[str, Any] | None = None,
    save_seconds: float = 30.0,
    progress: Progress | None = None,
) -> Run:
    """Train a network and return its run.

    `model`: a name of the zoo, or any `nn.Module` (trained in place; it holds the final weights afterwards). `data`: anything `striate.data.load`
    takes. `recipe`: a `Recipe`, a name of `striate.training.recipes.names()`, a JSON file; None picks the one made for this network and data.
    `epochs`, `lr`, `batch` and `settings` (any other field) change it. `options` go to the zoo's factory (`{"depth": 3}`).
    `folder`: a new folder; None makes `runs/DATA-MODEL-N`. `seed` decides
    weights, order, augmentation and dropout. A checkpoint is written every epoch and at least every `save_seconds`.

    Raises `ArgumentError`, `DataError`, `RunInUseError`, `Interrupted` (saved; `resume` goes on), `DivergenceError`, `MemoryLimitError`.
    """
    from striate.data import load

    model, task, device, seed = a_name_or_network(model), a_task(task), a_device(device), whole_number("seed", seed)
    save_seconds = seconds("save_seconds", save_seconds)
    if settings is not None and not isinstance(settings, Mapping):
        raise ArgumentError(f"settings: got {settings!r}, expected fields of the recipe by name, such as {{'augment': ['mirror']}}")
    opened: Any = load(data)
    use = resolve(device, precision)
    name = model if isinstance(model, str) else name_of(model)
    task_name = task if isinstance(task, str) else "classify" if task is None else task.name
    known = recipes.known_as(opened)
    chosen = recipes.default(name, known, task_name, recipes.samples_of(opened)) if recipe is None else recipes.get(recipe)
    changes = {key: value for key, value in (("epochs", epochs), ("lr", lr), ("batch", batch)) if value is not None} | dict(settings or {})
    chosen = chosen.edited(**changes)
    _check_names(chosen)
    opened = _arranged(opened, chosen, seed)
    check_views(chosen.views, tuple(opened.shape))
    if chosen.early_stop is not None and "val" not in opened.splits:
        raise ArgumentError("recipe early_stop: it looks at a validation part, and there is none; hold one out with validation=0.1, or leave it None")
    if chosen.calibrate > 0 and task_name != "classify":
        raise ArgumentError(f"recipe calibrate: only classifiers have a temperature, and the task is {task_name}; leave it at 0")
    job = tasks.make(task_name, opened, chosen) if task is None or isinstance(task, str) else task
    network = network_for(model, opened, seed, options, beside=getattr(job, "extra_outputs", 0))
    if chosen.freeze:
        up_to(network, chosen.freeze)  # a name that is not there is refused before anything is on disk
    target = new_folder(folder, opened.name, name)
    python, command = spelled(model, opened, recipe, folder, changes, dict(options or {}), seed, device, precision, task_name)
    with ExitStack() as stack:
        stack.enter_context(lock(target / ".lock", wait=0))
        if (target / "run.json").exists():
            raise StorageError(f"{target} already holds a run; go on with `striate resume {shlex.quote(str(target))}`, or give another folder")
        facts = {
            "name": target.name,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "state": "running",
            "reason": None,
            "model": spec_facts(network, name) | {"given": isinstance(model, nn.Module)},
            "classes": list(opened.classes),
            "task": task_name,
            "task_options": dict(getattr(job, "options", {})),
            "task_given": task is not None and not isinstance(task, str),
            "recipe": chosen.to_json(),
            "preprocess": opened.preprocess.to_json(),
            "preprocess_given": getattr(opened, "given", None) is not None,
            "data": data_facts(opened),
            "seed": seed,
            "device": use.device,
            "precision": use.precision,
            "save_seconds": save_seconds,
            "command": command,
            "python": python,
            "machine": machine(),
            "versions": versions(),
        }
        tensors = _tensors(opened.preprocess)
        if tensors:
            save_tensors(target / "preprocess.safetensors", tensors)
        run = Run.create(target, facts)
        return _go(run, network, opened, job, chosen, seed, device, precision, save_seconds, progress or Quiet())


def resume(
    folder: str | Path,
    *,
    model: nn.Module | None = None,
    data: Data | str | Path | None = None,
    task: Task | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a run where its last checkpoint stands; on the machine that began it, the weights end the same to the bit.

    `model` is needed only for a network that the zoo did not build (its weights come from the checkpoint), `data` only where it came as arrays or has
    moved (it is opened with the run's own options), `task` only where it was given as an object.
    `device` and `precision` default to the run's own. A finished run is returned as it is. Raises `StorageError`, `RunInUseError`, `DataError` where
    the data has changed since, and all that `train` raises.
    """
    from striate.data import load

    run = Run(folder)
    with ExitStack() as stack:
        if run.state != "finished":  # what is finished may lie where no lock can be made
            stack.enter_context(lock(run.folder / ".lock", wait=0))
            run = Run(folder)
        if run.state == "finished":
            (progress or Quiet()).note(f"{run.folder} is finished already; nothing to do")
            return run
        clear_leftovers(run.folder)
        facts = run.facts
        spec = data if data is not None else facts["data"]["spec"]
        if spec is None:
            raise ArgumentError(f"{run.folder}: its data came as arrays; pass them again: resume(folder, data=...)")
        if facts.get("task_given") and task is None:
            raise ArgumentError(f"{run.folder}: its task {facts['task']} was given as an object; pass it again: resume(folder, task=...)")
        if task is not None and getattr(task, "name", None) != facts["task"]:
            raise ArgumentError(f"task: got {getattr(task, 'name', task)!r}, but {run.folder} was begun for {facts['task']}")
        recipe = run.recipe
        opened = load(spec, options=options_for(spec, data, facts["data"]["options"]))
        if facts.get("preprocess_given"):  # pretrained weights brought their own
            opened = opened.with_preprocess(run.preprocess)
        opened = _arranged(opened, recipe, facts["seed"])
        if opened.fingerprint != facts["data"]["fingerprint"]:
            raise DataError(f"{spec}: the data has changed since {run.folder} began, so the run cannot be continued; start a new one")
        if list(opened.shape) != facts["data"]["shape"]:
            came, wanted = (" x ".join(map(str, shape)) for shape in (opened.shape, facts["data"]["shape"]))
            raise DataError(f"{spec}: gives inputs of {came}, but {run.folder} was trained on {wanted}; open the data with the same options")
        job = tasks.make(run.facts["task"], opened, recipe) if task is None else task
        if model is not None:
            network = a_network(model)
        elif facts["model"].get("foreign") or (facts["model"].get("given") and not (run.folder / LAST).exists()):
            raise ArgumentError(f"{run.folder}: the network {facts['model']['name']} was given to train; pass it: resume(folder, model=...)")
        else:
            network = network_for(facts["model"]["name"], opened, facts["seed"], facts["model"]["options"], beside=getattr(job, "extra_outputs", 0))
        threads = facts["machine"]["threads"]
        if threads != torch.get_num_threads():
            (progress or Quiet()).note(f"using {threads} threads as the run began with (bits depend on it)")
            torch.set_num_threads(threads)
        use_device, use_precision = facts["device"] if device is None else a_device(device), precision or facts["precision"]
        run.update({"state": "running", "reason": None})
        return _go(run, network, opened, job, recipe, facts["seed"], use_device, use_precision, facts["save_seconds"], progress or Quiet())


def options_for(spec: Any, moved: Any, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options that a run's data was opened with, for data named by name or path; where it has moved, without the folder it began at."""
    if not isinstance(spec, (str, Path)):
        return None
    return {name: value for name, value in options.items() if moved is None or name != "root"}


def _go(
    run: Run,
    network: nn.Module,
    data: Any,
    task: Task,
    recipe: Recipe,
    seed: int,
    device: str,
    precision: Precision,
    save_seconds: float,
    progress: Progress,
) -> Run:
    """Prepare, restore where there is a checkpoint, run the loop, and write how it ended, whatever happens."""
    try:
        use = resolve(device, precision)
        network, use = placed(network, use, data.shape)
        data, held = _held_back(data, recipe, seed)
        prepared = data.prepared(augment=recipe.augment, device=use.device)
        with random_state_kept(), Training(run, network, prepared, task, recipe, seed, use, progress, save_seconds) as training:
            _made_ready(training)
            if held is not None:
                head_for_scaling(network, few_of(network, held, use))  # refused here, before a step is taken
            fit(training)
            _finish(training, held)
    except (Exception, KeyboardInterrupt) as error:
        stopped = isinstance(error, (Interrupted, KeyboardInterrupt))
        run.update({"state": "stopped" if stopped else "failed", "reason": str(error) or type(error).__name__})
        raise
    finally:
        network.eval()
    return Run(run.folder, model=None if run.facts["model"].get("foreign") is None else network)


def _made_ready(t: Training) -> None:
    """Compile where that pays, and bring the training to where its checkpoint stands, or to the very start."""
    if t.use.device.startswith("cuda") and t.steps >= COMPILE_FROM:
        t.progress.note("the network is compiled first, which pays on this device over so many steps")
        t.compiled = torch.compile(t.model)
    elif t.use.device == "cpu" and t.use.precision == "bf16":
        t.compiled = widened(t.model)
    if (t.run.folder / LAST).exists():
        t.position = checkpoint.restore(t.run.folder, t.model, t.average, t.optimiser, t.plateau)
    else:
        if t.recipe.init == "whiten-first":
            _whiten_first(t)
        if t.run.facts["model"]["given"]:  # its first weights are nobody's to draw again
            checkpoint.save(t.run.folder, t.model, t.average, t.optimiser, t.plateau, t.position)
    t.run.keep_history(t.position.rows)


def _finish(t: Training, held: Any) -> None:
    """Fit the temperature where a part is `held` back for it, write the final weights, read validation and test parts once, say how it went."""
    where, run = t.position, t.run
    best = run.folder / BEST
    values = load_tensors(best)[0] if t.recipe.early_stop and best.exists() else t.average.state_dict(t.model)
    t.model.load_state_dict(values)
    check_weights(t)
    if held is not None:
        save_final(run.folder, t.model)  # whatever becomes of the temperature
    calibration = {} if held is None else calibrated(t.model, held, t.task, t.use, views=t.recipe.views)
    outcomes = {name: run_over(t.model, t.data.split(name), t.task, t.use, views=t.recipe.views) for name in ("val", "test") if name in t.data.splits}
    check_figures({f"{part}/{name}": value for part, found in outcomes.items() for name, value in found.figures.items()}, t)
    save_final(run.folder, t.model)
    for name, outcome in outcomes.items():
        outcome.save(run.folder / "predictions" / f"{name}.npz")
        if calibration and outcome.targets is not None:
            calibration[name] = undone(outcome.shares, outcome.targets, calibration["temperature"]).to_json()
    summary = {
        "seconds": round(where.seconds, 3),
        "wall": round(where.wall, 3),
        "steps": where.step,
        "parameters": sum(p.numel() for p in t.model.parameters()),
        "best_epoch": where.best_epoch,
        "splits": {name: outcome.figures for name, outcome in outcomes.items()},
    } | ({"calibration": calibration} if calibration else {})
    write_json(run.folder / "result.json", summary)
    run.update({"state": "finished", "reason": None})
    t.progress.finished(summary)


def _check_names(recipe: Recipe) -> None:
    """Refuse a recipe's unknown names before anything is made on disk."""
    optimisers.entry(recipe.optimiser).signature.check(recipe.options)
    schedules.entry(recipe.schedule)
    for spec in recipe.augment:
        parse_spec(spec)


def _arranged(data: Any, recipe: Recipe, seed: int) -> Any:
    """Hold out the validation part and whiten, as the recipe asks."""
    if recipe.validation > 0:
        data = data.held_out(recipe.validation, seed)
    if recipe.whitening != "none":
        data = data.whitened(recipe.whitening)
    if recipe.calibrate > 0:
        stratified(data.tables["train"].targets, len(data.tables["train"]), recipe.calibrate, 0)  # refused here, before anything is on disk
    return data


def _held_back(data: Any, recipe: Recipe, seed: int) -> tuple[Any, Any]:
    """Return the data to train on, and the part of `train` held back to fit the temperature to (None where the recipe asks for none)."""
    if recipe.calibrate <= 0:
        return data, None
    table = data.tables["train"]
    kept, held = stratified(table.targets, len(table), recipe.calibrate, derived_seed(seed, CALIBRATION_SEED))
    own = data.preprocess  # found on the whole training split, as the run says
    rest = dataclasses.replace(data, tables={**data.tables, "train": table.take(kept)}, given=own)
    return rest, dataclasses.replace(data, tables={"train": table.take(held)}, given=own)


def _tensors(preprocess: Preprocess) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = getattr(preprocess, "tensors", dict)()
    return found


def new_folder(folder: str | Path | None, data: str, model: str) -> Path:
    """Make and return a run's folder: the one that is named, or the next free `runs/DATA-MODEL-N`."""
    if folder is not None:
        target = Path(folder)
        if target.exists() and not target.is_dir():
            raise ArgumentError(f"folder: {target} is a file; give a folder that does not exist yet")
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"folder: {target} cannot be made ({error.strerror or error}); give a place where folders can be made") from error
        return target
    name = re.sub(r"[^\w.+-]+", "-", f"{data}-{model}")  # timm:NAME and module:factory hold what some systems refuse in a file's name
    for number in itertools.count(1):
        target = Path("runs") / f"{name}-{number}"
        try:
            target.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StorageError(
                f"folder: {target} cannot be made ({reason}); name a place where folders can be made with folder= (--folder)"
            ) from error
        return target
    raise AssertionError


def _whiten_first(t: Training) -> None:
    layers = [module for module in t.model.modules() if hasattr(module, "set_from_patches")]
    if not layers:
        t.progress.note("init whiten-first: this network has no layer that takes it; its own initialisation stays")
        return
    batch = next(iter(t.data.split("train").batches(PATCHES, epoch=0, seed=t.seed)))
    for layer in layers:
        layer.set_from_patches(batch.x)  # type: ignore[operator]
    t.average = type(t.average)(t.model, t.recipe.average, t.recipe.average_decay, t.steps)
