"""One gradient of a class score, as striate, captum and plain torch take it, in turn in one process: seconds of each turn, and what bf16 changes.

Runs in captum's environment. Freed memory is kept for everybody, as the command line keeps it.
"""

from __future__ import annotations

import argparse
import time
import warnings

import torch
from common import tell, versions
from explain import Setting  # which puts striate's own source on the path


def gradient(network, x, target, *, bf16=False):
    """Return the gradient N C H W of one class score, and nothing besides."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(network(leaf)[0, target], leaf)[0]


def rank_correlation(one, other):
    """Return Spearman's coefficient of two maps."""
    from scipy.stats import spearmanr

    return float(spearmanr(one.flatten().numpy(), other.flatten().numpy())[0])


def main():
    """Measure and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--turns", type=int, default=20)
    asked = parser.parse_args()
    s = Setting(asked)
    from captum import attr

    from striate import understand as u
    from striate.core.runtime import keep_freed_memory
    from striate.surgery import fuse_batch_norm

    keep_freed_memory()
    warnings.simplefilter("ignore")
    folded = fuse_batch_norm(s.model).to(memory_format=torch.channels_last)
    for parameter in folded.parameters():
        parameter.requires_grad_(False)
    one, x, target = s.pixels[:1], s.x[:1], s.target[:1]
    last = x.contiguous(memory_format=torch.channels_last)
    same = {"target": target.tolist(), "preprocess": s.preprocess}
    tasks = {
        "captum: saliency": lambda: attr.Saliency(s.model).attribute(x, target=target, abs=False),
        "striate: saliency": lambda: u.saliency(s.model, one, **same),
        "striate: saliency, batch norms folded before": lambda: u.saliency(folded, one, **same),
        "plain torch": lambda: gradient(s.model, x, int(target)),
        "plain torch, batch norms folded before": lambda: gradient(folded, last, int(target)),
        "plain torch, the same in bf16": lambda: gradient(folded, last, int(target), bf16=True),
        "captum: Grad-CAM": lambda: attr.LayerGradCam(s.model, s.module).attribute(x, target=target),
        "striate: Grad-CAM": lambda: u.grad_cam(s.model, one, layer=s.layer, **same),
        "captum: guided": lambda: attr.GuidedBackprop(s.model).attribute(x, target=target),
        "striate: guided": lambda: u.guided(s.model, one, **same),
    }
    seconds = {name: [] for name in tasks}
    for turn in range(asked.turns + 2):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if turn > 1:  # the first two warm up
                seconds[name].append(time.perf_counter() - began)
    maps = {"folded": [], "bf16": []}
    for number, target in enumerate(s.target.tolist()):
        x = s.x[number : number + 1]
        wanted = gradient(s.model, x, target).abs().amax(1)
        x = x.contiguous(memory_format=torch.channels_last)
        maps["folded"].append(rank_correlation(wanted, gradient(folded, x, target).abs().amax(1)))
        maps["bf16"].append(rank_correlation(wanted, gradient(folded, x, target, bf16=True).abs().amax(1)))
    tell(seconds=seconds, agreement=maps, versions=versions("captum"))


if __name__ == "__main__":
    main()
