"""Keras 3 on MNIST, torch backend: pictures as one float array, `fit`, Adam. Needs the environment `keras` (bench/venvs.py)."""

from __future__ import annotations

import argparse
import os
import time

os.environ["KERAS_BACKEND"] = "torch"

import keras
from common import MEAN, STD, mnist, tell, versions


class Clock(keras.callbacks.Callback):
    """Times the training part of each epoch: from its start to the start of its test."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - keras's signature
        self.began = time.perf_counter()

    def on_test_begin(self, logs=None):  # noqa: ARG002 - keras's signature
        self.seconds.append(time.perf_counter() - self.began)


def lenet5():
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="lenet5", choices=("lenet5",))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None)
    asked = parser.parse_args()
    keras.utils.set_random_seed(asked.seed)
    parts = {}
    for part in ("train", "test"):
        x, y = mnist(part, asked.limit)
        parts[part] = ((x.numpy()[..., None].astype("float32") / 255 - MEAN) / STD, y.numpy())
    model = lenet5()
    assert model.count_params() == 61_706
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    clock = Clock()
    past = model.fit(*parts["train"], batch_size=64, epochs=asked.epochs, validation_data=parts["test"], verbose=0, callbacks=[clock])
    errors = [1 - float(value) for value in past.history["val_accuracy"]]
    tell(epoch_seconds=clock.seconds, errors=errors, versions=versions("keras"))


if __name__ == "__main__":
    main()
