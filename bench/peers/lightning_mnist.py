"""Lightning on MNIST: its Trainer over the usual per-sample transforms, Adam. Needs the environment `lightning` (bench/venvs.py)."""

from __future__ import annotations

import argparse
import logging
import time
import warnings

from common import Pictures, net, tell, versions  # isort: skip - first: it makes torchvision importable, which torchmetrics looks for

import lightning
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Classifier(lightning.LightningModule):
    """Loss and optimiser round the shared net, with a clock on the training part of each epoch."""

    def __init__(self, model):
        super().__init__()
        self.model = net(model)
        self.seconds, self.errors = [], []
        self.wrong = self.count = 0

    def training_step(self, batch, _index):
        x, y = batch
        return functional.cross_entropy(self.model(x), y)

    def validation_step(self, batch, _index):
        x, y = batch
        self.wrong += int((self.model(x).argmax(1) != y).sum())
        self.count += len(y)

    def on_train_epoch_start(self):
        self.began = time.perf_counter()

    def on_validation_start(self):
        self.seconds.append(time.perf_counter() - self.began)
        self.wrong = self.count = 0

    def on_validation_epoch_end(self):
        self.errors.append(self.wrong / self.count)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None)
    asked = parser.parse_args()
    lightning.seed_everything(asked.seed, verbose=False)
    train = DataLoader(Pictures("train", asked.limit), batch_size=64, shuffle=True)
    test = DataLoader(Pictures("test", asked.limit), batch_size=1000)
    module = Classifier(asked.model)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    lightning.Trainer(max_epochs=asked.epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet).fit(module, train, test)
    tell(epoch_seconds=module.seconds, errors=module.errors, versions=versions("lightning"))


if __name__ == "__main__":
    main()
