"""What this machine can do at best: matrix products, convolutions, copies. Run by the harness, in its own process.

A multiplication and an addition are two operations. The copy rate counts the bytes copied (each is read once and written once).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from harness import tell

CONVOLUTIONS = ((32, 64, 56), (32, 128, 28), (32, 256, 14))
"""Pictures, channels (in and out), side: three 3x3 convolutions of ResNet-18; the best of them counts."""
SIDE = 4096


def best(action: Callable[[], object], work: float, seconds: float) -> float:
    """Return the best rate, `work` a second, over at least three calls and `seconds`; one call warms up."""
    action()
    fastest, calls, began = float("inf"), 0, time.perf_counter()
    while calls < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        action()
        fastest = min(fastest, time.perf_counter() - start)
        calls += 1
    return work / fastest


def matrix(dtype: torch.dtype, seconds: float, side: int) -> float:
    """Return GFLOP/s of a square matrix product."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    return best(lambda: a @ b, 2 * side**3 / 1e9, seconds)


def convolution(dtype: torch.dtype, seconds: float, pictures: int) -> float:
    """Return GFLOP/s of the fastest of three 3x3 convolutions, channels last."""
    rates = []
    for _, channels, side in CONVOLUTIONS:
        x = torch.randn(pictures, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
        work = 2 * 9 * channels**2 * side**2 * pictures / 1e9
        rates.append(best(lambda x=x, w=w: functional.conv2d(x, w, padding=1), work, seconds / 3))  # type: ignore[misc]
    return max(rates)


def copy(seconds: float, mebibytes: int) -> float:
    """Return GiB/s copied between two large tensors."""
    source = torch.ones(mebibytes << 20, dtype=torch.uint8)
    target = torch.empty_like(source)
    return best(lambda: target.copy_(source), mebibytes / 1024, seconds)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--side", type=int, default=SIDE)
    asked = parser.parse_args()
    small = asked.seconds < 0.1
    pictures, mebibytes, side = (2, 64, 512) if small else (32, 1024, asked.side)
    with torch.inference_mode():
        tell(
            matrix_fp32=matrix(torch.float32, asked.seconds, side),
            matrix_bf16=matrix(torch.bfloat16, asked.seconds, side),
            convolution_fp32=convolution(torch.float32, asked.seconds, pictures),
            convolution_bf16=convolution(torch.bfloat16, asked.seconds, pictures),
            copy=copy(asked.seconds, mebibytes),
        )


if __name__ == "__main__":
    main()
