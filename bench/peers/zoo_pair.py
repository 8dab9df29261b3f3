"""One network of the zoo beside torchvision's form of it, by turns in one process: forward pass and training step, the same weights and pictures."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "zoo"))
from oracles import torchvision

from striate import zoo
from striate.core.runtime import keep_freed_memory
from striate.zoo.registry import architectures

THEIRS = {"googlenet": {"init_weights": False, "transform_input": False}, "inception_v3": {"init_weights": False, "transform_input": False}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--turns", type=int, default=7, help="turns at least")
    parser.add_argument("--seconds", type=float, default=0.0, help="go on for so long")
    asked = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    shape = (3, asked.size, asked.size)
    ours = zoo.build(asked.name, classes=1000, input=shape, options=imagenet(asked.name))
    theirs = torchvision(asked.name, num_classes=1000, **THEIRS.get(asked.name, {}))
    theirs.load_state_dict(ours.state_dict(keep_vars=True), assign=True)  # the very same memory: where weights lie moves a net by a tenth
    models = {"ours": ours, "theirs": theirs}
    for model in models.values():
        model.to(memory_format=torch.channels_last)
    x = torch.randn(asked.batch, *shape).to(memory_format=torch.channels_last)
    y = torch.randint(1000, (asked.batch,))
    half = asked.precision == "bf16"
    found: dict[str, list[float]] = {f"{who} {what}": [] for who in models for what in ("forward", "step")}
    began = time.perf_counter()
    for turn in itertools.count():
        if turn > asked.turns and time.perf_counter() - began > asked.seconds:
            break
        for what, act in (("forward", forward), ("step", step)):
            for who, model in list(models.items())[:: 1 if turn % 2 else -1]:
                clock = time.perf_counter()
                act(model, x, y, half=half)
                if turn:  # the first turn warms up
                    found[f"{who} {what}"].append(1000 * (time.perf_counter() - clock))
    answer = {f"{key} ms": statistics.median(values) for key, values in found.items()}
    for what in ("forward", "step"):
        answer[f"{what} ratio"] = min(found[f"ours {what}"]) / min(found[f"theirs {what}"])
    answer["turns"] = turn - 1
    print("@@ " + json.dumps(answer), flush=True)


def forward(model: nn.Module, x: torch.Tensor, _y: torch.Tensor, *, half: bool) -> None:
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        model(x)


def step(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, half: bool) -> None:
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = model(x)
        outputs = out if isinstance(out, tuple) else (out,)
        loss = F.cross_entropy(outputs[0].float(), y)
        for aside in outputs[1:]:
            loss = loss + 0.3 * F.cross_entropy(aside.float(), y) if aside is not None else loss
    loss.backward()
    model.zero_grad(set_to_none=True)


def imagenet(name: str) -> dict[str, str]:
    """The stem torchvision has at every size; ours would choose a smaller one for small pictures."""
    return {"stem": "imagenet"} if "stem" in architectures.entry(name).signature.names else {}


if __name__ == "__main__":
    main()
