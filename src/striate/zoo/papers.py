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

ALEXNET_IMAGENET = Recipe(
    name="alexnet",
    epochs=90,
    batch=128,
    optimiser="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="steps",
    milestones=(0.33, 0.66, 0.9),
    augment=("resized_crop", "mirror", "lighting"),
)
"""Krizhevsky, Sutskever, Hinton 2012, section 5: about 90 passes, the rate divided by 10 three times, where the error stood still.

The paper cuts 224 pixels out of pictures scaled to 256, here `resized_crop` does. ZFNet (2013) trains alike, for 70 epochs.
"""

VGG_IMAGENET = Recipe(
    name="vgg",
    epochs=74,
    batch=256,
    optimiser="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="steps",
    milestones=(0.4, 0.65, 0.85),
    augment=("resized_crop", "mirror", "lighting"),
)
"""Simonyan, Zisserman 2014, section 3.1: 370,000 steps of 256 pictures, the rate divided by 10 three times, where the accuracy stood still."""

NIN_CIFAR = Recipe(
    name="nin-cifar",
    epochs=250,
    batch=128,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(0.8, 0.9),
    augment=("crop(4)", "mirror"),
)
"""Lin, Chen, Yan 2013, section 4: batches of 128, the rate divided by 10 twice, where training stood still; rate and length are not in the paper."""

GOOGLENET_IMAGENET = Recipe(
    name="googlenet",
    epochs=60,
    batch=32,
    optimiser="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=2e-4,
    schedule="steps",
    milestones=tuple(step / 60 for step in range(8, 60, 8)),
    divide=1 / 0.96,
    augment=("resized_crop(scale=(0.08, 1.0))", "mirror", "lighting"),
)
"""Szegedy and others 2014, section 6: momentum 0.9, the rate 4 % lower every 8 epochs, patches of 8 to 100 % of the picture.

First rate, batch, decay and length are not in the paper; these are of the usual replications. The paper averages weights at the end.
"""

INCEPTION_IMAGENET = Recipe(
    name="inception-v3",
    epochs=100,
    batch=1600,
    optimiser="rmsprop",
    lr=0.045,
    momentum=0.0,
    options={"alpha": 0.9, "eps": 1.0},
    schedule="steps",
    milestones=tuple(step / 100 for step in range(2, 100, 2)),
    divide=1 / 0.94,
    augment=("resized_crop(scale=(0.08, 1.0))", "mirror"),
    smoothing=0.1,
    clip=2.0,
    average="ema",
    average_decay=0.9999,
)
"""Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015, section 8: 50 replicas with batches of 32, the rate times 0.94 every second epoch."""

SQUEEZENET_IMAGENET = Recipe(
    name="squeezenet",
    epochs=68,
    batch=512,
    optimiser="sgd",
    lr=0.04,
    momentum=0.9,
    weight_decay=2e-4,
    schedule="linear",
    augment=("resized_crop", "mirror"),
)
"""Iandola and others 2016, section 4: the rate falls in a line from 0.04; the authors' settings file says 170,000 steps of 512 pictures."""

DENSENET_IMAGENET = Recipe(
    name="densenet-imagenet",
    epochs=90,
    batch=256,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    options={"nesterov": True},
    schedule="steps",
    milestones=(1 / 3, 2 / 3),
    augment=("resized_crop", "mirror", "lighting"),
)
"""Huang, Liu, van der Maaten, Weinberger 2017, section 4.2: the rate divided by 10 at epochs 30 and 60."""

DENSENET_CIFAR = Recipe(
    name="densenet-cifar",
    epochs=300,
    batch=64,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    options={"nesterov": True},
    schedule="steps",
    milestones=(0.5, 0.75),
    augment=("crop(4)", "mirror"),
)
"""Huang, Liu, van der Maaten, Weinberger 2017, section 4.2: the rate divided by 10 at half and at three quarters."""

FRACTALNET_CIFAR = Recipe(
    name="fractalnet-cifar",
    epochs=400,
    batch=100,
    optimiser="sgd",
    lr=0.02,
    momentum=0.9,
    schedule="steps",
    milestones=(0.5, 0.75, 0.875, 0.9375),
    augment=("crop(4)", "mirror"),
)
"""Larsson, Maire, Shakhnarovich 2017, section 4.2: the rate divided by 10 whenever the epochs left have halved; no weight decay."""

DPN_IMAGENET = Recipe(
    name="dpn",
    epochs=100,
    batch=1280,
    optimiser="sgd",
    lr=0.316,
    momentum=0.9,
    weight_decay=5e-6,
    schedule="steps",
    milestones=(0.3, 0.6, 0.8),
    augment=("resized_crop(scale=(0.08, 1.0))", "mirror"),
)
"""Chen, Li, Xiao, Jin, Yan, Feng 2017, section 4: 40 cards with batches of 32, first rate √0.1, decay 5e-6; length and steps are not in the paper."""

PREACT_CIFAR = RESNET_CIFAR.edited(name="preact-cifar", warmup=400 / 64_000)
"""He, Zhang, Ren, Sun 2016, appendix: as the first paper's, with a warm-up of 400 steps (there at a rate of 0.01, here rising)."""

STOCHASTIC_DEPTH = RESNET_CIFAR.edited(name="stochastic-depth", epochs=500, options={"nesterov": True})
"""Huang, Sun, Liu, Sedra, Weinberger 2016, section 4: 500 epochs of batches of 128, the rate divided by 10 at half and at three quarters."""

WIDE_RESNET_CIFAR = Recipe(
    name="wide-resnet-cifar",
    epochs=200,
    batch=128,
    optimiser="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    options={"nesterov": True},
    schedule="steps",
    milestones=(0.3, 0.6, 0.8),
    divide=5.0,
    augment=("crop(4, mode='reflect')", "mirror"),
)
"""Zagoruyko, Komodakis 2016, section 3: 200 epochs, the rate divided by 5 at 60, 120 and 160."""

RESNEXT_CIFAR = RESNET_CIFAR.edited(name="resnext-cifar", epochs=300, weight_decay=5e-4)
"""Xie, Girshick, Dollár, Tu, He 2016, section 5.3: 300 epochs of batches of 128, the rate divided by 10 at 150 and 225."""

RESNEXT_IMAGENET = RESNET_IMAGENET.edited(name="resnext-imagenet", epochs=90, milestones=(1 / 3, 2 / 3))
"""Xie, Girshick, Dollár, Tu, He 2016, section 4: batches of 256, the schedule of the authors' code: 90 epochs, divided by 10 at 30 and 60."""

TEXT_CNN = Recipe(
    name="text-cnn",
    epochs=25,
    batch=50,
    optimiser="adadelta",
    lr=1.0,
    momentum=0.95,
    schedule="constant",
    validation=0.1,
    early_stop=5,
)
"""Kim 2014, section 3.1: Adadelta, batches of 50, early stopping on a tenth of the training part. The length is that of the author's code."""
