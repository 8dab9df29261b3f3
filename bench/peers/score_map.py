"""A score map of a larger picture: one pass of the convolutional form against the network slid over it, by turns in one process."""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from striate import surgery, zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--size", type=int, default=224, help="the window: what the network was made for")
    parser.add_argument("--picture", type=int, default=512)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    torch.manual_seed(0)
    shape = (asked.channels, asked.size, asked.size)
    model = zoo.build(asked.name, classes=10, input=shape)
    with torch.no_grad():
        model.train()(torch.randn(4, *shape))  # statistics that are not those of a fresh network
    model.eval()
    dense = surgery.to_convolutional(model, shape)
    stride = surgery.total_stride(dense, shape)
    picture = torch.randn(1, asked.channels, asked.picture, asked.picture)
    once, slid = [], []
    for turn in range(asked.turns + 1):
        began = time.perf_counter()
        with torch.no_grad():
            scores = dense(picture)
        between = time.perf_counter()
        surgery.slide(model, picture, (asked.size, asked.size), stride)
        if turn:
            once.append(between - began)
            slid.append(time.perf_counter() - between)
    told = surgery.compare_with_sliding(model, dense, picture, (asked.size, asked.size))
    answer = {
        "once": statistics.median(once),
        "slid": statistics.median(slid),
        "windows": scores.shape[2] * scores.shape[3],
        "stride": stride,
        "deviation": told.deviation,
        "said": str(told),
    }
    print("@@ " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
