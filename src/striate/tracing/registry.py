"""Where the words of a network's spec register: `conv`, `relu`, `maxpool` … Names, help and settings are literals, read without torch.

    @word("relu", help="max(0, x) of every number")
    def relu(shape: Shape) -> nn.Module: ...

The first parameter is the shape the box is given (one sample, without its batch axis); the others are what stands in the brackets.
"""

from __future__ import annotations

from striate.core.registry import Registry

Shape = tuple[int, ...]
"""One sample: (features,), (channels, length) or (channels, height, width)."""

words = Registry("word", package="striate.tracing")
word = words.register

OTHER_SPELLINGS = {
    "dense": "linear",
    "fc": "linear",
    "convolution": "conv",
    "conv1d": "conv",
    "conv2d": "conv",
    "pool": "maxpool",
    "bn": "batchnorm",
    "leakyrelu": "leaky",
}
"""What people also write, and the word it stands for."""
