"""One network of the zoo in every form that promises speed: forward passes by turns in one process."""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings

import torch
from torch import nn

from striate import surgery, zoo
from striate.zoo.registry import architectures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--no-compile", action="store_true")
    asked = parser.parse_args()
    torch.manual_seed(0)
    shape = (3, asked.size, asked.size)
    plain = zoo.build(asked.name, classes=1000, input=shape, options=imagenet(asked.name)).eval()
    last = zoo.build(asked.name, classes=1000, input=shape, options=imagenet(asked.name)).eval().to(memory_format=torch.channels_last)
    forms: dict[str, tuple[nn.Module, bool, bool]] = {  # the model, channels last?, half precision?
        "plain": (plain, False, False),
        "channels_last": (last, True, False),
        "bf16": (plain, False, True),
        "bf16 channels_last": (last, True, True),
    }
    if any(isinstance(module, nn.BatchNorm2d) for module in plain.modules()):
        fused = surgery.fuse_batch_norm(last)
        forms |= {"fused channels_last": (fused, True, False), "fused bf16 channels_last": (fused, True, True)}
    if not asked.no_compile:
        compiled = torch.compile(last)
        forms |= {"compiled channels_last": (compiled, True, False), "compiled bf16 channels_last": (compiled, True, True)}
    x = torch.randn(asked.batch, *shape)
    pictures = {False: x, True: x.to(memory_format=torch.channels_last)}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(asked.turns + 1):
        for name, (model, channels_last, half) in forms.items():
            began = time.perf_counter()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model(pictures[channels_last])
            if turn:  # the first turn warms up, and compiles
                seconds[name].append(time.perf_counter() - began)
    print("@@ " + json.dumps({name: asked.batch / statistics.median(values) for name, values in seconds.items()}), flush=True)


def imagenet(name: str) -> dict[str, str]:
    """The stem torchvision has at every size; ours would choose a smaller one for small pictures."""
    return {"stem": "imagenet"} if "stem" in architectures.entry(name).signature.names else {}


if __name__ == "__main__":
    main()
