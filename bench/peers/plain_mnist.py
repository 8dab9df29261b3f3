"""The plain example loop on MNIST: per-sample transforms, Dataset and DataLoader, batch 64, Adadelta, float32.

    python bench/peers/plain_mnist.py --epochs 10 --seed 0 --workers 0

The transforms are torchvision's own where it can be imported (fastai's environment has it), else the same steps written plainly. The learning rate
depends on the epoch alone, not on how many follow, so the error after epoch k of a longer run is that of a run of fixed length k. Seconds count
training only, not the tests in between.
"""

from __future__ import annotations

import argparse
import time

import torch
from common import Pictures, net, tell, test_error, versions
from torch.nn import functional
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--optimiser", choices=("adadelta", "sgd"), default="adadelta")
    parser.add_argument("--limit", type=int, default=None, help="training pictures, for smoke tests")
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    loading = {"num_workers": asked.workers, "persistent_workers": asked.workers > 0}
    pictures = Pictures("train", asked.limit)
    train = DataLoader(pictures, batch_size=asked.batch, shuffle=True, **loading)
    test = DataLoader(Pictures("test", asked.limit), batch_size=1000)
    model = net(asked.model)
    if asked.optimiser == "adadelta":
        optimiser = torch.optim.Adadelta(model.parameters(), lr=1.0)
        schedule = StepLR(optimiser, step_size=1, gamma=0.7)
    else:
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        schedule = StepLR(optimiser, step_size=1, gamma=1.0)
    seconds, errors = [], []
    for _ in range(asked.epochs):
        began = time.perf_counter()
        model.train()
        for x, y in train:
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimiser.step()
        seconds.append(time.perf_counter() - began)
        schedule.step()
        errors.append(test_error(model, test))
    tell(epoch_seconds=seconds, errors=errors, transforms=pictures.made_by, versions=versions("numpy", "pillow"))


if __name__ == "__main__":
    main()
