"""What may be handed to the front doors: networks, tasks, devices, numbers; each is refused with what came, what is allowed, what to do."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.core.errors import ArgumentError, unknown_name

VIEWS = ("one", "mirror", "six")


def a_network(model: Any, *, word: str = "model") -> nn.Module:
    """Return the network; raises `ArgumentError` for a class, a function or anything else, and for what no checkpoint could hold."""
    if inspect.isclass(model) and issubclass(model, nn.Module):
        raise ArgumentError(f"{word}: got the class {model.__name__}, expected a network; call it first: {model.__name__}(...)")
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{word}: got {_told(model)}, expected a torch.nn.Module or a name of the zoo (`striate models` lists them)")
    lazy = [name for name, value in (*model.named_parameters(), *model.named_buffers()) if is_lazy(value)]
    if lazy:
        raise ArgumentError(
            f"{word}: {lazy[0]} is lazy and has no shape before the network has seen a picture; run it once first, on "
            f"torch.zeros(2, channels, height, width)"
        )
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"{word}: {name.rpartition('.')[0] or type(model).__name__} keeps a {type(value).__name__} beside its tensors (get_extra_state), "
                f"which a file of tensors does not hold; keep it in a buffer, or let get_extra_state return a tensor"
            )
    return model


def a_name_or_network(model: Any) -> nn.Module | str:
    """Return a name of the zoo as it is, and anything else as `a_network` does."""
    return model if isinstance(model, str) else a_network(model)


def a_device(device: Any) -> str:
    """Return a device's name; a number is that of a CUDA device, a torch.device is spelled. Raises `ArgumentError`."""
    if isinstance(device, int) and not isinstance(device, bool):
        return f"cuda:{device}"
    if isinstance(device, torch.device):
        return str(device)
    if not isinstance(device, str):
        raise ArgumentError(f"device: got {_told(device)}, expected auto, cpu, cuda, cuda:N or mps")
    return device


def seconds(word: str, value: Any) -> float:
    """Return a length of time, 0 or more; raises `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
        raise ArgumentError(f"{word}: got {value!r}, expected seconds, 0 or more")
    return float(value)


def a_task(task: Any) -> Any:
    """Return None, a task's name or a task; raises `ArgumentError`."""
    missing = [name for name in ("name", "watch", "loss", "metrics", "decode") if not hasattr(task, name)]
    if task is None or isinstance(task, str) or not missing:
        return task
    raise ArgumentError(f"task: got {_told(task)}, expected a name (`classify`) or an object with loss, metrics and decode; {missing[0]} is missing")


def check_views(views: Any, shape: tuple[int, ...] | torch.Size | None = None) -> None:
    """Raise `UnknownNameError` for views that are none, `ArgumentError` for pictures (`shape` ends in H W) too small to be shifted."""
    if views not in VIEWS:
        raise unknown_name("views", str(views), VIEWS)
    if views == "six" and shape is not None and len(shape) >= 3 and min(shape[-2:]) < 2:
        raise ArgumentError(f"views: six shifts pictures by one pixel, and these are {shape[-2]} x {shape[-1]}; use one or mirror")


def is_run_folder(path: Any) -> bool:
    """Whether a name or path is a run's folder."""
    return isinstance(path, (str, Path)) and (Path(path) / "run.json").exists()


def _told(value: Any) -> str:
    """Return a value as an error names it: small ones as they are, others by their type."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{'the class' if inspect.isclass(value) else 'the function'} {getattr(value, '__name__', value)}"
    return repr(value) if value is None or isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
