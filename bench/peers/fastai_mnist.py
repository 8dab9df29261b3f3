"""fastai on MNIST: its Learner and one-cycle policy over the usual per-sample transforms. Needs the environment `fastai` (bench/venvs.py)."""

from __future__ import annotations

import argparse
import time

import torch
from common import Pictures, net, tell, versions  # first: it makes torchvision importable, which fastai needs
from fastai.callback.core import Callback
from fastai.callback.schedule import *  # noqa: F403 - adds fit_one_cycle to Learner
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import error_rate


class Clock(Callback):
    """Times the training part of each epoch."""

    def before_fit(self):
        self.seconds = []

    def before_train(self):
        self.began = time.perf_counter()

    def after_train(self):
        self.seconds.append(time.perf_counter() - self.began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    loaders = DataLoaders.from_dsets(Pictures("train", asked.limit), Pictures("test", asked.limit), bs=64, num_workers=0, device="cpu")
    clock = Clock()
    learner = Learner(loaders, net(asked.model), loss_func=CrossEntropyLossFlat(), metrics=error_rate, cbs=clock)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(asked.epochs, 3e-3)
    tell(epoch_seconds=clock.seconds, errors=[float(row[-1]) for row in learner.recorder.values], versions=versions("fastai", "torchvision"))


if __name__ == "__main__":
    main()
