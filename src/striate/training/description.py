"""How a run is told: its network, its data, the Python and the command that do the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from striate.core.contracts import Recipe
from striate.core.signature import Source, command_line, python_call


def name_of(network: nn.Module) -> str:
    """Return the zoo's name of a network it built, else its class's."""
    from striate.zoo import spec_of

    spec = spec_of(network)
    return type(network).__name__ if spec is None else spec.name


def spec_facts(network: nn.Module, name: str) -> dict[str, Any]:
    """Return what is needed to build the network again; one of the user's own is only named."""
    from striate.zoo import spec_of

    spec = spec_of(network)
    return {"name": name, "foreign": True, "options": {}} if spec is None else spec.to_json()


def data_facts(data: Any) -> dict[str, Any]:
    """Return what is needed to open the data again and to know it for the same."""
    lengths = {name: data.split(name).length for name in data.splits}
    return {
        "name": data.name,
        "spec": data.spec,
        "options": dict(data.options),
        "fingerprint": data.fingerprint,
        "fingerprints": {name: table.fingerprint for name, table in data.tables.items()},
        "shape": list(data.shape),
        "splits": lengths,
    }


def data_of(facts: Mapping[str, Any]) -> Any:
    """Open a run's data from what its run.json says, in the parts it was trained with: its validation part held out, by the run's seed."""
    from striate.data import load

    opened: Any = load(facts["data"]["spec"], options=facts["data"]["options"])
    share = facts["recipe"].get("validation", 0.0)
    return opened.held_out(share, facts["seed"]) if share else opened


def spelled(
    model: nn.Module | str,
    data: Any,
    recipe: Any,
    folder: Any,
    changes: Mapping[str, Any],
    options: dict[str, Any],
    seed: int,
    device: str,
    precision: str,
    task: str = "classify",
) -> tuple[str, str | None]:
    """Return the Python and the command that do the same; None for what cannot be written as a command."""
    fields = {key: value for key, value in changes.items() if key in ("epochs", "lr", "batch")}
    others = {key: value for key, value in changes.items() if key not in fields}
    shared = {"recipe": str(recipe) if isinstance(recipe, (str, Path)) else None, "folder": None if folder is None else str(folder)}
    shared = {key: value for key, value in shared.items() if value is not None} | fields | {"seed": seed}
    shared |= {key: value for key, value in (("device", device), ("precision", precision)) if value != "auto"}
    keywords: dict[str, Any] = dict(shared) | ({"settings": others} if others else {}) | ({"options": options} if options else {})
    if task != "classify":
        keywords["task"] = task
    if isinstance(recipe, Recipe):
        keywords["recipe"] = recipe
    opened: Any = data.spec if data.spec is not None else Source("data")
    if data.spec is not None and data.options:
        opened = Source(python_call("st.data.load", [data.spec], {"options": dict(data.options)}))
    python = python_call("st.train", [model if isinstance(model, str) else Source("model"), opened], keywords)
    if not isinstance(model, str) or data.spec is None or isinstance(recipe, Recipe) or task not in ("classify", "localise"):
        return python, None
    shared |= {"task": task} if task != "classify" else {}
    asked = {"data-option": assignments(data.options), "set": assignments(others), "model-option": assignments(options)}
    return python, command_line(["striate", "train", str(data.spec)], {"model": model, **shared, **asked})


def assignments(values: Mapping[str, Any]) -> list[str]:
    """Return `KEY=VALUE` of each, as the command line takes them."""
    return [f"{key}={' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}" for key, value in values.items()]
