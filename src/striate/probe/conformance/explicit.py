"""A network written out by hand in NumPy float64, forward and back, with each rule spelled as its formula. Slow, and meant to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor

Rule = Literal["gradient", "guided", "deconvnet"]
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(eq=False)
class Node:
    """A value and the way back from it: for each parent, what its message is, given this node's."""

    value: Array
    back: tuple[tuple[Node, Callable[[Array], Array]], ...] = ()
    message: Array = field(default_factory=lambda: np.zeros(()))


class Explicit:
    """The operations of a small network; `rule` says what ReLU and max pooling send back."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._order: list[Node] = []

    def node(self, value: Array, *back: tuple[Node, Callable[[Array], Array]]) -> Node:
        """Keep a value, in the order of the forward pass."""
        self._order.append(Node(value, back))
        return self._order[-1]

    def send(self, output: Node, target: int) -> None:
        """Send 1 back from class `target` of `output` (N K); every node's `message` is then the sum of what its readers send."""
        for each in self._order:
            each.message = np.zeros_like(each.value)
        output.message[:, target] = 1
        for each in reversed(self._order):
            for parent, way in each.back:
                parent.message += way(each.message)

    def relu(self, x: Node, slope: float = 0.0) -> Node:
        """max(x, 0), or `slope` x below zero. Gradient: where x > 0; guided: that, of positive messages only; deconvnet: the message rectified."""

        def way(message: Array) -> Array:
            if self.rule == "deconvnet":
                return np.where(message > 0, message, slope * message)
            passed = np.maximum(message, 0) if self.rule == "guided" else message
            return np.where(x.value > 0, passed, slope * passed)

        return self.node(np.where(x.value > 0, x.value, slope * x.value), (x, way))

    def conv(self, x: Node, weight: Tensor, bias: Tensor | None, padding: int = 0) -> Node:
        """y[n, k, i, j] = sum over c, u, v of w[k, c, u, v] x[n, c, i + u, j + v], plus b[k]."""
        w = weight.detach().double().numpy()
        padded = np.pad(x.value, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        high, wide = padded.shape[2] - w.shape[2] + 1, padded.shape[3] - w.shape[3] + 1
        y = np.zeros((len(padded), len(w), high, wide))
        for i, j in np.ndindex(high, wide):
            y[:, :, i, j] = np.einsum("ncuv,kcuv->nk", padded[:, :, i : i + w.shape[2], j : j + w.shape[3]], w)
        if bias is not None:
            y += bias.detach().double().numpy()[:, None, None]

        def way(message: Array) -> Array:
            back = np.zeros_like(padded)
            for i, j in np.ndindex(high, wide):
                back[:, :, i : i + w.shape[2], j : j + w.shape[3]] += np.einsum("nk,kcuv->ncuv", message[:, :, i, j], w)
            return back[:, :, padding : padding + x.value.shape[2], padding : padding + x.value.shape[3]]

        return self.node(y, (x, way))

    def max_pool(self, x: Node, size: int, stride: int, padding: int = 0) -> Node:
        """The largest of each window, a tie to the first.

        Gradient and guided: each message is added at its switch; deconvnet: it is put there, later windows over earlier ones.
        """
        filled = np.pad(x.value, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
        high, wide = (filled.shape[2] - size) // stride + 1, (filled.shape[3] - size) // stride + 1
        y = np.zeros((*x.value.shape[:2], high, wide))
        switch: dict[tuple[int, ...], tuple[int, ...]] = {}
        for n, c, i, j in np.ndindex(*y.shape):
            window = filled[n, c, i * stride : i * stride + size, j * stride : j * stride + size]
            u, v = np.unravel_index(int(window.argmax()), window.shape)
            y[n, c, i, j] = window[u, v]
            switch[n, c, i, j] = (n, c, i * stride + int(u) - padding, j * stride + int(v) - padding)

        def way(message: Array) -> Array:
            back = np.zeros_like(x.value)
            for cell, place in switch.items():
                back[place] = message[cell] if self.rule == "deconvnet" else back[place] + message[cell]
            return back

        return self.node(y, (x, way))

    def linear(self, x: Node, weight: Tensor, bias: Tensor) -> Node:
        """Y = W x + b on the flattened input."""
        w, shape = weight.detach().double().numpy(), x.value.shape
        return self.node(x.value.reshape(len(x.value), -1) @ w.T + bias.detach().double().numpy(), (x, lambda message: (message @ w).reshape(shape)))

    def add(self, x: Node, y: Node) -> Node:
        """Sum; both get the whole message."""
        return self.node(x.value + y.value, (x, lambda message: message), (y, lambda message: message))

    def concat(self, x: Node, y: Node) -> Node:
        """Channels side by side; each gets its part of the message."""
        split = x.value.shape[1]
        return self.node(np.concatenate([x.value, y.value], 1), (x, lambda message: message[:, :split]), (y, lambda message: message[:, split:]))

    def channels(self, x: Node, start: int, stop: int) -> Node:
        """Some of the channels; the others get nothing."""

        def way(message: Array) -> Array:
            back = np.zeros_like(x.value)
            back[:, start:stop] = message
            return back

        return self.node(x.value[:, start:stop], (x, way))
