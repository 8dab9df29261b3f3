"""ResNet-18 at 224 as a plain script has it: float32, N C H W, SGD, pictures as float tensors in memory. Needs torch alone.

python bench/peers/plain_resnet18.py --steps 12
"""

from __future__ import annotations

import argparse
import time

import torch
from common import tell
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, with in-place ReLU as torchvision has it."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or channels != width:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet18(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        widths = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
        self.blocks = nn.Sequential(*(Block(*width) for width in widths))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        return self.fc(functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1).flatten(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    asked = parser.parse_args()
    torch.manual_seed(0)
    model = ResNet18()
    assert sum(p.numel() for p in model.parameters()) == 11_689_512
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    count = asked.batch * 4
    pictures, labels = torch.randn(count, 3, asked.side, asked.side), torch.randint(1000, (count,))
    batches = [slice(i, i + asked.batch) for i in range(0, count, asked.batch)]
    seconds = []
    for step in range(asked.warm_up + asked.steps):
        began = time.perf_counter()
        rows = batches[step % len(batches)]
        optimiser.zero_grad()
        functional.cross_entropy(model(pictures[rows]), labels[rows]).backward()
        optimiser.step()
        seconds.append(time.perf_counter() - began)
    model.eval()
    inference = []
    with torch.inference_mode():
        for step in range(asked.warm_up + asked.steps):
            began = time.perf_counter()
            model(pictures[batches[step % len(batches)]]).argmax(1)
            inference.append(time.perf_counter() - began)
    tell(training=seconds[asked.warm_up :], inference=inference[asked.warm_up :], batch=asked.batch)


if __name__ == "__main__":
    main()
