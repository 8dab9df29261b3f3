"""The machine under us: device, precision, threads, seeds, memory, versions. torch is imported inside functions only."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Settings:
    """What a computation will run on: resolved device and precision, and why."""

    device: str
    precision: Literal["fp32", "bf16"]
    channels_last: bool
    threads: int
    reason: str


def settings(device: str = "auto", precision: Precision = "auto") -> Settings:
    """Resolve `device` (auto, cpu, cuda, cuda:1, mps) and `precision` (auto, fp32, bf16) for this machine.

    auto takes CUDA, then MPS, then the CPU; bf16 where the hardware multiplies it natively. Raises `ArgumentError`.
    """
    import torch

    chosen = _device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise ArgumentError(f"precision: got {precision!r}, expected auto, fp32 or bf16")
    native, reason = _bf16(chosen)
    use = ("bf16" if native else "fp32") if precision == "auto" else precision
    return Settings(chosen, "bf16" if use == "bf16" else "fp32", not chosen.startswith("mps"), torch.get_num_threads(), reason)


def _device(device: str) -> str:
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise ArgumentError(f"device: got {device!r}, expected auto, cpu, cuda, cuda:N or mps")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[kind]
    if not present:
        raise ArgumentError(f"device: {device!r} is not usable here (torch {torch.__version__}); use device='cpu' or 'auto'")
    return device


def _bf16(device: str) -> tuple[bool, str]:
    import torch

    if device.startswith("cuda"):
        native = torch.cuda.get_device_capability(device)[0] >= 8
        return native, f"{torch.cuda.get_device_name(device)} {'multiplies' if native else 'does not multiply'} bf16 natively"
    if device == "mps":
        return False, "bf16 is not faster on MPS"
    flags = cpu_flags()
    if "amx_bf16" in flags or "avx512_bf16" in flags:
        return True, "this CPU multiplies bf16 natively"
    return False, "this CPU has no bf16 instructions"


def cpu_flags() -> frozenset[str]:
    """Return the CPU's instruction-set flags where the system tells them (Linux), else an empty set."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            line = next((line for line in stream if line.startswith(("flags", "Features"))), "")
    except OSError:
        return frozenset()
    return frozenset(line.partition(":")[2].split())


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


_MEMORY = {"kept": False}


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of returning it to the system: 1.0 to 1.5 times faster on the CPU.

    Called by the command line only; `STRIATE_MALLOC=system` opts out. Returns whether it took effect.
    """
    if os.environ.get("STRIATE_MALLOC") == "system" or not sys.platform.startswith("linux"):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    _MEMORY["kept"] = all([mallopt(mmap_max, 0), mallopt(trim_threshold, -1), mallopt(top_pad, 256 << 20)])
    return _MEMORY["kept"]


def freed_memory_kept() -> bool:
    """Tell whether freed memory is kept: then large batches are not slower than small ones, whose memory malloc always keeps."""
    return _MEMORY["kept"]


def derived_seed(*parts: int) -> int:
    """Mix integers such as (seed, epoch, step) into one 63-bit seed; neighbouring inputs give unrelated seeds. Raises `ArgumentError`."""
    mask = (1 << 64) - 1
    state = 0x9E3779B97F4A7C15
    for part in parts:
        number = int(part) if isinstance(part, bool) else whole_number("seed", part)
        state = (state ^ (number & mask)) * 0xBF58476D1CE4E5B9 & mask
        state ^= state >> 27
        state = (state + 0x9E3779B97F4A7C15) * 0x94D049BB133111EB & mask
        state ^= state >> 31
    return state >> 1


def generator(*parts: int) -> torch.Generator:
    """Return a CPU generator seeded from the parts (see `derived_seed`)."""
    import torch

    return torch.Generator().manual_seed(derived_seed(*parts))


def seed_everything(device: str, *parts: int) -> None:
    """Seed torch's generator of the CPU and of `device` from the parts; asking the one device costs a tenth of `torch.manual_seed`'s round of all."""
    import torch

    seed = derived_seed(*parts)
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave torch's, NumPy's and Python's global random state as it was found."""
    import random

    import numpy as np
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - others may use the global state
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            if apple is not None:
                torch.mps.set_rng_state(apple)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def versions() -> dict[str, str]:
    """Return the versions that decide a run's bits: Python, striate and what it computes with."""
    found = {"python": platform.python_version()}
    for name in ("striate", "torch", "numpy", "pillow", "safetensors"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Return what this machine is: system, processor, cores, threads torch uses, instruction set, accelerator."""
    import torch

    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16": bool({"avx512_bf16", "amx_bf16"} & cpu_flags()),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
