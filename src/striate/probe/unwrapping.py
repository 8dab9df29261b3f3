"""A compiled model is watched through its original module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.probe.walking import modules_of


def original(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the module under `torch.compile`'s wrapper (or `model` itself) and a note where there was one.

    Raises `ArgumentError` for anything but an nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model: got {type(model).__name__}, expected an nn.Module")
    notes: tuple[str, ...] = ()
    inner = model
    while isinstance(wrapped := getattr(inner, "_orig_mod", None), nn.Module):  # torch's documented way back from a compiled module
        inner = wrapped
        notes = ("the model is compiled: its original module was watched, uncompiled",)
    if not notes and "torch._dynamo" in sys.modules and any(is_compiled(module) for module in modules_of(inner)):
        notes = ("parts of the model are compiled: they were run uncompiled while being watched",)
    return inner, notes


def is_compiled(module: nn.Module) -> bool:
    """Tell whether calling `module` would run compiled code."""
    return getattr(module, "_compiled_call_impl", None) is not None or "_orig_mod" in module._modules  # noqa: SLF001 - asking for it is slow


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled functions and modules as plain Python inside; does nothing where nothing was ever compiled."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
