"""What the peers share, free of striate: the MNIST files, the LeNet-5 everybody trains, per-sample transforms as usual, the answer's spelling."""

from __future__ import annotations

import json
import os
import platform
import struct
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

MEAN, STD = 0.1307, 0.3081

if torch.version.cuda is None:  # torchvision's wheel, built for CUDA, is not imported beside the CPU build of torch unless these are known
    TORCHVISION = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        TORCHVISION.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def tell(**values):
    """Give the answer the harness reads."""
    print("@@ " + json.dumps(values), flush=True)


def versions(*names):
    """Return the versions of Python, torch and `names` here."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in ("torch", *names)}


def mnist(part, limit=None):
    """Return pictures N 28 28 uint8 and labels N of `train` or `test` as tensors, the first `limit` of them."""
    stem = {"train": "train", "test": "t10k"}[part]
    folder = Path(os.environ["STRIATE_DATA"]) / "mnist"
    raw = (folder / f"{stem}-images-idx3-ubyte").read_bytes()
    count, height, width = struct.unpack(">3I", raw[4:16])
    pictures = np.frombuffer(raw, np.uint8, offset=16).reshape(count, height, width).copy()
    labels = np.frombuffer((folder / f"{stem}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8).astype(np.int64)
    return torch.from_numpy(pictures[:limit]), torch.from_numpy(labels[:limit])


class OwnToTensor:
    """A PIL picture becomes a float tensor C H W in [0, 1]: the steps torchvision's transform takes."""

    def __call__(self, picture):
        array = np.array(picture, np.uint8, copy=True)
        tensor = torch.from_numpy(array).view(picture.height, picture.width, len(picture.getbands()))
        return tensor.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


class OwnNormalize:
    """(x - mean) / std per channel: the steps torchvision's transform takes."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, x):
        mean = torch.as_tensor(self.mean, dtype=x.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=x.dtype).view(-1, 1, 1)
        return x.clone().sub_(mean).div_(std)


def usual_transforms():
    """Return the usual example's transforms, picture by picture: torchvision's own where it can be imported, else the same steps written here."""
    try:
        from torchvision import transforms
    except ImportError:
        return "the same steps without torchvision", (OwnToTensor(), OwnNormalize((MEAN,), (STD,)))
    return f"torchvision {metadata.version('torchvision')}", (transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,)))


class Pictures(torch.utils.data.Dataset):
    """MNIST as the usual example has it: one PIL picture and one chain of transforms a sample."""

    def __init__(self, part, limit=None):
        self.pictures, self.labels = mnist(part, limit)
        self.made_by, self.transforms = usual_transforms()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        x = Image.fromarray(self.pictures[i].numpy())
        for transform in self.transforms:
            x = transform(x)
        return x, int(self.labels[i])


class LeNet(nn.Module):
    """LeNet-5 in its modern form, 61,706 parameters, written as examples write it."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = functional.relu(self.fc1(x))
        return self.fc3(functional.relu(self.fc2(x)))


class Sprint(nn.Module):
    """The small batch-norm net (5x5-16, 3x3-32, 3x3-32, 3x3-64, global maximum), written as examples write it."""

    def __init__(self):
        super().__init__()
        sizes = ((1, 16, 5), (16, 32, 3), (32, 32, 3), (32, 64, 3))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, k, padding=k // 2, bias=False) for a, b, k in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _ in sizes)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = functional.relu(norm(conv(x)))
            if i in (0, 2):
                x = functional.max_pool2d(x, 2)
        return self.fc(torch.amax(x, dim=(2, 3)))


NETS = {"lenet5": LeNet, "sprint28": Sprint}


def net(name):
    """Return the network, with its count of parameters checked: the same as striate's."""
    made = NETS[name]()
    assert sum(p.numel() for p in made.parameters()) == {"lenet5": 61_706, "sprint28": 33_594}[name]
    return made


@torch.no_grad()
def test_error(model, loader):
    """Return the share of wrong answers over a loader."""
    model.eval()
    wrong = count = 0
    for x, y in loader:
        wrong += int((model(x).argmax(1) != y).sum())
        count += len(y)
    return wrong / count
