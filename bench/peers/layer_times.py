"""Time one pair of layers, ours and what it stands beside, in turn, forward and in a training step.

Argument: a name below, or `conv N C K side kernel`: a locally connected layer beside the convolution of the same multiply-adds.
Both get the same inputs; the answer holds every measurement in seconds, and how far the two outputs are apart.
"""

from __future__ import annotations

import argparse
import contextlib
import time

import torch
from common import tell
from torch import nn
from torch.nn import functional as F

from striate import layers
from striate.core.runtime import keep_freed_memory
from striate.layers.losses import MultiClassHinge


def beside_convolution(samples, channels, filters, side, kernel):
    x = torch.randn(samples, channels, side, side).to(memory_format=torch.channels_last)
    shared = nn.Conv2d(channels, filters, kernel).to(memory_format=torch.channels_last)
    return layers.LocallyConnected2d(channels, filters, side, kernel), shared, x


def locally_connected():
    made = layers.LocallyConnected2d(32, 32, 16, 3)

    def naive(x):
        patches = F.unfold(x, 3).view(len(x), -1, 14 * 14)
        out = torch.einsum("nkl,lok->nol", patches, made.weight.view(14 * 14, 32, -1))
        return out.view(len(x), 32, 14, 14) + made.bias.permute(2, 0, 1)

    return made, naive, torch.randn(32, 32, 16, 16)


def windows(x):
    return x.unfold(2, 2, 2).unfold(3, 2, 2)


def l2_pooling():
    return layers.L2Pool2d(2), lambda x: windows(x).pow(2).mean((-2, -1)).sqrt(), torch.randn(32, 32, 32, 32) + 3


def response_norm():
    return layers.LocalResponseNorm(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), torch.randn(16, 96, 27, 27)


def maxout():
    return layers.Maxout(2), lambda x: torch.stack((x[:, ::2], x[:, 1::2])).amax(0), torch.randn(32, 64, 32, 32)


def max_pooling():
    return layers.MaxPool2d(2), nn.MaxPool2d(2), torch.randn(256, 6, 28, 28).bfloat16().to(memory_format=torch.channels_last)


def unpooling():
    values, switches = F.max_pool2d(torch.randn(32, 32, 32, 32), 2, return_indices=True)
    return layers.MaxUnpool2d(2), nn.MaxUnpool2d(2), values, switches


def partial_convolution():
    made = layers.PartialConv2d(6, tuple(tuple((j + i) % 6 for i in range(3 + j % 4)) for j in range(16)), 5)

    def naive(x):
        start, maps = 0, []
        for j, sources in enumerate(made.table):
            maps.append(F.conv2d(x[:, list(sources)], made.weight[start : start + len(sources)][None], made.bias[j : j + 1]))
            start += len(sources)
        return torch.cat(maps, 1)

    return made, naive, torch.randn(256, 6, 14, 14)


def subsampling():
    made = layers.Subsampling(6)
    return made, lambda x: windows(x).sum((-2, -1)) * made.weight[:, None, None] + made.bias[:, None, None], torch.randn(256, 6, 28, 28)


def hinge():
    def naive(scores, target):
        rows = torch.arange(len(scores))
        excess = (scores - scores[rows, target][:, None] + 1).clamp(min=0)
        others = torch.ones_like(excess)
        others[rows, target] = 0
        return (excess * others).sum(1).mean()

    return MultiClassHinge(), naive, torch.randn(512, 1000), torch.randint(1000, (512,))


PAIRS = {
    "locally connected": locally_connected,
    "L2 pooling": l2_pooling,
    "response norm": response_norm,
    "maxout": maxout,
    "max pooling": max_pooling,
    "unpooling": unpooling,
    "partial convolution": partial_convolution,
    "subsampling": subsampling,
    "hinge": hinge,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", choices=[*PAIRS, "conv"])
    parser.add_argument("shape", nargs="*", type=int)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each of the two is tried, forward and in a step")
    parser.add_argument("--bf16", action="store_true", help="under bf16 autocast")
    asked = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)
    ours, other, *inputs = beside_convolution(*asked.shape) if asked.pair == "conv" else PAIRS[asked.pair]()
    inputs[0].requires_grad_()
    wanted = {"ours": [inputs[0], *ours.parameters()]}
    wanted["other"] = [inputs[0], *other.parameters()] if asked.pair == "conv" else wanted["ours"]  # the composition shares our parameters
    calls = {"ours": ours, "other": other}

    def autocast():
        return torch.autocast("cpu", torch.bfloat16) if asked.bf16 else contextlib.nullcontext()

    def forward(who):
        with torch.no_grad(), autocast():
            return calls[who](*inputs)

    def step(who):
        with autocast():
            out = calls[who](*inputs)
        torch.autograd.grad(out, wanted[who], torch.ones_like(out))

    apart = None if asked.pair == "conv" else float((forward("ours").float() - forward("other").float()).abs().max())
    times = {}
    for what, run in (("forward", forward), ("step", step)):
        seconds = {who: [] for who in calls}
        for who in calls:
            run(who)
        until = time.perf_counter() + 2 * asked.seconds
        while time.perf_counter() < until or len(seconds["other"]) < 3:
            for who in calls:
                began = time.perf_counter()
                run(who)
                seconds[who].append(time.perf_counter() - began)
        times[what] = seconds
    tell(**{what: {who: [round(value, 7) for value in each] for who, each in times[what].items()} for what in times}, apart=apart)


if __name__ == "__main__":
    main()
