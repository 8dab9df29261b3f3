"""The usual tutorial's loop: the trunk frozen and run again in every epoch, float32, a fresh linear head trained by SGD.

    python bench/peers/naive_transfer.py --photos DIR --weights FILE --model resnet50_v1 --epochs 10

Crops and mirror images as usual, a DataLoader over the files without workers, learning rate 0.001, momentum 0.9, batch 32: the defaults of the
transfer-learning tutorials. The network is striate's own, so that both sides run the same layers; seconds count from the start of the process.
"""

from __future__ import annotations

import argparse
import time

BEGAN = time.perf_counter()

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from common import tell  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

DRAW = np.random.default_rng(0)
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class Photos(Dataset):
    """Class folders of photographs, opened file by file in every epoch."""

    def __init__(self, root, *, train, limit):
        names = sorted(path.name for path in root.iterdir() if path.is_dir())
        self.files = [(path, names.index(path.parent.name)) for name in names for path in sorted((root / name).iterdir())[:limit]]
        self.train = train

    def __len__(self):
        return len(self.files)

    def __getitem__(self, row):
        path, label = self.files[row]
        picture = Image.open(path).convert("RGB")
        width, height = picture.size
        if self.train:
            area = width * height * DRAW.uniform(0.08, 1.0)
            ratio = np.exp(DRAW.uniform(np.log(3 / 4), np.log(4 / 3)))
            wide, tall = min(width, round((area * ratio) ** 0.5)), min(height, round((area / ratio) ** 0.5))
            left, top = DRAW.integers(0, width - wide + 1), DRAW.integers(0, height - tall + 1)
            picture = picture.resize((224, 224), Image.Resampling.BILINEAR, box=(left, top, left + wide, top + tall))
            if DRAW.random() < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        else:
            scale = 256 / min(width, height)
            picture = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
            left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
            picture = picture.crop((left, top, left + 224, top + 224))
        values = (np.asarray(picture, np.float32) / 255 - MEAN) / STD
        return torch.from_numpy(values.transpose(2, 0, 1).copy()), label


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--limit", type=int, default=None, help="pictures of each class, for smoke tests")
    asked = parser.parse_args()
    torch.manual_seed(0)
    import warnings

    from striate.zoo import build

    warnings.simplefilter("ignore")
    model = build(asked.model, classes=2, input=(3, 224, 224), weights=asked.weights)
    head = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in head.parameters():
        parameter.requires_grad_(True)
    train = DataLoader(Photos(asked.photos / "train", train=True, limit=asked.limit), batch_size=32, shuffle=True)
    held = DataLoader(Photos(asked.photos / "val", train=False, limit=asked.limit), batch_size=32)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.001, momentum=0.9)
    seconds, right = [], 0.0
    for _ in range(int(asked.epochs)):
        began = time.perf_counter()
        model.train()
        for x, y in train:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            found = [(model(x).argmax(1) == y).float() for x, y in held]
        right = float(torch.cat(found).mean())
        seconds.append(time.perf_counter() - began)
    tell(seconds=time.perf_counter() - BEGAN, epoch_seconds=seconds, accuracy=right)


if __name__ == "__main__":
    main()
