"""Training recipes as their papers give them: named by the cards, followed by `train`, readable without torch."""

from __future__ import annotations

from striate.core.contracts import Recipe

RESNET_CIFAR = Recipe(
    name="cifar-classic",
    epochs=164,
    batch=128,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(0.5, 0.75),
    augment=("crop(4)", "mirror"),
)
"""He, Zhang, Ren, Sun 2015, section 4.2: 64,000 steps of 128 pictures, the rate divided by 10 at half and at three quarters."""

RESNET_IMAGENET = Recipe(
    name="imagenet-classic",
    epochs=120,
    batch=256,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(0.25, 0.5, 0.75),
    augment=("resized_crop", "mirror", "lighting"),
)
"""He, Zhang, Ren, Sun 2015, section 3.4: 600,000 steps of 256 pictures.

The paper divides the rate by 10 where the error stands still, here at quarters of the length. It cuts 224 pixels out of pictures scaled to 256 to
480, here `resized_crop` does. Colours change as AlexNet's.
"""
