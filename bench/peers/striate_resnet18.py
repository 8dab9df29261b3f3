"""ResNet-18 at 224 through striate's own front doors: `striate.train` and `evaluate` over uint8 pictures in memory, precision auto."""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from common import tell


class Clock:
    """A `Progress` that notes when each step ended."""

    def __init__(self):
        self.ends = []

    def started(self, title, *, epochs, steps, start):
        pass

    def stepped(self, step, *, samples, loss):  # noqa: ARG002 - the contract's words
        self.ends.append(time.perf_counter())

    def epoch_ended(self, row):
        pass

    def note(self, text):
        pass

    def finished(self, summary):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--folder", help="train from this folder of pictures, cut at random, instead of pictures in memory; no inference")
    parser.add_argument("--system-malloc", action="store_true", help="do not keep freed memory")
    asked = parser.parse_args()

    from striate.core.runtime import keep_freed_memory

    kept = False if asked.system_malloc else keep_freed_memory()  # the command line does so first of all
    import numpy as np

    import striate
    from striate.core.contracts import Recipe
    from striate.training import evaluate

    steps = asked.warm_up + 1 + asked.steps
    augment, length = (), 1.0
    if asked.folder:
        data = striate.data.folder(asked.folder, size=asked.side, val=0.0)
        augment, length = ("resized_crop", "mirror"), steps * asked.batch / data.split("train").length
    else:
        draw = np.random.default_rng(0)
        pictures = draw.integers(0, 256, (steps * asked.batch, 3, asked.side, asked.side), dtype=np.uint8)
        labels = draw.integers(0, 1000, len(pictures))
        data = striate.data.arrays(pictures, labels, classes=[str(i) for i in range(1000)])
    model = striate.zoo.build("resnet18", classes=len(data.classes), input=data.shape, options={"stem": "imagenet"})
    recipe = Recipe(name="bench", epochs=length, batch=asked.batch, optimiser="sgd", lr=0.01, weight_decay=1e-4, schedule="constant", augment=augment)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = striate.train(model, data, recipe=recipe, folder=os.path.join(folder, "run"), save_seconds=1e9, progress=clock)
        precision = run.facts["precision"]
    seconds = np.diff(clock.ends)[asked.warm_up :].tolist()

    if asked.folder:
        tell(training=seconds, batch=asked.batch, precision=precision, kept_freed_memory=kept)
        return
    few = asked.batch * min(4, steps)
    part = striate.data.arrays(pictures[:few], labels[:few], classes=data.classes)
    evaluate(model, part, split="train", batch=asked.batch)
    inference = []
    for _ in range(3):
        began = time.perf_counter()
        evaluate(model, part, split="train", batch=asked.batch)
        inference.append((time.perf_counter() - began) * asked.batch / few)
    tell(training=seconds, inference=inference, batch=asked.batch, precision=precision, kept_freed_memory=kept)


if __name__ == "__main__":
    main()
