"""A run's history for TensorBoard (the extra `striate[tensorboard]`)."""

from __future__ import annotations

from pathlib import Path

from striate.core.errors import ArgumentError
from striate.training.run import Run


def write_tensorboard(run: Run, folder: str | Path | None = None) -> Path:
    """Write every figure of the run's history as TensorBoard events to `folder` (default: `RUN/tensorboard`) and return it.

    Raises `ArgumentError` when tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ArgumentError("tensorboard is not installed; pip install 'striate[tensorboard]'") from None
    target = Path(folder) if folder is not None else run.folder / "tensorboard"
    with SummaryWriter(str(target)) as writer:
        for row in run.history:
            for name, value in row.items():
                if name not in ("epoch", "step"):
                    writer.add_scalar(name, value, row["step"])
    return target
