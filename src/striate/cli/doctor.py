"""`striate doctor`: what this machine has and what striate will use of it."""

from __future__ import annotations

import os
import shutil
from importlib import metadata, util
from pathlib import Path
from typing import Any

from striate.cli.registry import command

EXTRAS = (
    ("simplejpeg", "fast", "decodes JPEGs two to four times faster"),
    ("tensorboard", "tensorboard", "writes runs that TensorBoard shows"),
)
"""Optional packages: import name, striate's extra, what it is good for."""
LOW_DISK = 5.0
"""Gigabytes free below which a cache of decoded pictures may not fit."""


@command(
    "doctor",
    help="Tell what this machine has and what striate will use of it.",
    section="Reference",
    options={"json": "Print JSON instead of lines."},
    examples=("striate doctor",),
)
def doctor(*, json: bool = False) -> None:
    """Look around; nothing is measured or written but the cache folder."""
    from striate.cli.output import aside, facts, print_json, say

    found = examine()
    if json:
        print_json(found)
        return
    for section in ("machine", "will use", "versions", "folders"):
        say(section.capitalize(), style="bold cyan")
        facts({f"  {name}": _shown(value) for name, value in found[section].items()}, first=16)
    say("Extras", style="bold cyan")
    facts({f"  {extra['name']}": extra["version"] or _missing(extra) for extra in found["extras"]}, first=16)
    for warning in found["warnings"]:
        aside(f"note: {warning}")


def examine() -> dict[str, Any]:
    """Return everything as plain values; `warnings` are sentences."""
    from striate.core.runtime import machine, settings, versions
    from striate.core.storage import cache_folder

    here = machine()
    use = settings()
    cache = cache_folder()
    data = os.environ.get("STRIATE_DATA")
    free = shutil.disk_usage(cache).free / 1e9
    extras = [{"name": name, "extra": extra, "use": good, "version": _version(name)} for name, extra, good in EXTRAS]
    warnings = []
    if data and not Path(data).is_dir():
        warnings.append(f"STRIATE_DATA is {data}, which is no folder; data sets will be looked for in the cache and downloaded")
    if free < LOW_DISK:
        warnings.append(f"only {free:.1f} GB free where the cache is; set STRIATE_CACHE to a roomier place")
    if use.threads < here["cores"]:
        warnings.append(f"torch uses {use.threads} of {here['cores']} cores (OMP_NUM_THREADS?)")
    return {
        "machine": {**here, "memory": _memory()},
        "will use": {
            "device": use.device,
            "precision": f"{use.precision} ({use.reason})",
            "memory format": "channels last" if use.channels_last else "contiguous",
            "threads": use.threads,
            "freed memory": "returned to the system" if os.environ.get("STRIATE_MALLOC") == "system" else "kept where the system allows it",
        },
        "versions": versions(),
        "folders": {
            "cache": str(cache),
            "cache holds": f"{_size(cache) / 1e9:.2f} GB",
            "free there": f"{free:.0f} GB",
            "data": data or "not set (STRIATE_DATA)",
            "runs": str(Path("runs").absolute()),
        },
        "extras": extras,
        "warnings": warnings,
    }


def _shown(value: Any) -> str:
    return {True: "yes", False: "no", None: "none"}.get(value, str(value)) if isinstance(value, (bool, type(None))) else str(value)


def _missing(extra: dict[str, Any]) -> str:
    return f"not installed: {extra['use']} (pip install 'striate[{extra['extra']}]')"


def _version(name: str) -> str | None:
    if util.find_spec(name) is None:
        return None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "present"


def _memory() -> str | None:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError, AttributeError):
        return None


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
