"""Activation functions and their derivatives (row O6). Every message is δ·f′(x); at a kink the derivative is torch's choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from striate.formulas.base import Array, spell
from striate.formulas.elementwise import Elementwise, Gate
from striate.formulas.registry import formula


@formula("sigmoid", help="1/(1 + e^(−x)): squashes into 0 … 1, saturates on both sides", modules=("Sigmoid",))
@dataclass(frozen=True, kw_only=True)
class Sigmoid(Elementwise):
    """σ(x) = 1/(1 + e^(−x)); σ′ = σ(1 − σ), at most ¼."""

    rules: ClassVar[dict[str, str]] = {"y": "σ(x) = 1/(1 + e^(−x))", "x": "∂x = δ·σ(x)·(1 − σ(x))"}

    def value(self, x: Array) -> Array:
        """Return σ(x), written so that no large exponent is taken."""
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + small), small / (1 + small))

    def derivative(self, x: Array) -> Array:
        """Return σ(x)·(1 − σ(x)) = σ(x)·σ(−x)."""
        found: Array = self.value(x) * self.value(-x)
        return found

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        y = spell(float(self.value(np.array(x))))
        return f"1/(1 + e^(−{spell(x)}))", f"{y}·(1 − {y})"


@formula("tanh", help="Squashes into −1 … 1, saturates on both sides", modules=("Tanh",))
@dataclass(frozen=True, kw_only=True)
class Tanh(Elementwise):
    """tanh x; its derivative is 1 − tanh² x."""

    rules: ClassVar[dict[str, str]] = {"y": "y = tanh(x)", "x": "∂x = δ·(1 − tanh²(x))"}

    def value(self, x: Array) -> Array:
        """Return tanh x."""
        return np.tanh(x)

    def derivative(self, x: Array) -> Array:
        """Return 1 − tanh² x."""
        found: Array = 1 - np.tanh(x) ** 2
        return found

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        return f"tanh({spell(x)})", f"(1 − {spell(math.tanh(x))}²)"


@formula("scaled_tanh", help="A·tanh(S·x) with A = 1.7159 and S = 2/3: LeNet-5's squashing function, which maps ±1 to ±1", modules=("ScaledTanh",))
@dataclass(frozen=True, kw_only=True)
class ScaledTanh(Elementwise):
    """A tanh(Sx); its derivative is A·S·(1 − tanh²(Sx)) (LeCun et al. 1998, appendix A)."""

    amplitude: float = 1.7159
    slope: float = 2 / 3

    rules: ClassVar[dict[str, str]] = {"y": "y = A·tanh(S·x)", "x": "∂x = δ·A·S·(1 − tanh²(S·x))"}

    def value(self, x: Array) -> Array:
        """Return A tanh(Sx)."""
        found: Array = self.amplitude * np.tanh(self.slope * x)
        return found

    def derivative(self, x: Array) -> Array:
        """Return A·S·(1 − tanh²(Sx))."""
        found: Array = self.amplitude * self.slope * (1 - np.tanh(self.slope * x) ** 2)
        return found

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        a, s = spell(self.amplitude), spell(self.slope)
        return f"{a}·tanh({s}·{spell(x)})", f"{a}·{s}·(1 − tanh²({s}·{spell(x)}))"


@formula("relu", help="max(0, x): passes what is positive", modules=("ReLU",))
@dataclass(frozen=True, kw_only=True)
class ReLU(Gate):
    """max(0, x); its derivative is 1 above 0, else 0."""

    rules: ClassVar[dict[str, str]] = {"y": "y = max(0, x) = x·[x > 0]", "x": "∂x = δ·[x > 0]"}

    def derivative(self, x: Array) -> Array:
        """Return [x > 0]."""
        return np.where(x > 0, 1.0, 0.0)


@formula("leaky_relu", help="x above 0, slope·x below: no unit can die", modules=("LeakyReLU",))
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Gate):
    """x above 0, `negative_slope`·x below. torch's slope is 0.01, the course's 0.1."""

    negative_slope: float = 0.01

    rules: ClassVar[dict[str, str]] = {"y": "y = x·(1 if x > 0 else slope)", "x": "∂x = δ·(1 if x > 0 else slope)"}

    def derivative(self, x: Array) -> Array:
        """Return 1 above 0, else the slope."""
        return np.where(x > 0, 1.0, self.negative_slope)


@formula("elu", help="x above 0, α(e^x − 1) below: smooth, saturates at −α", modules=("ELU",))
@dataclass(frozen=True, kw_only=True)
class ELU(Elementwise):
    """x above 0, α(eˣ − 1) below (Clevert et al. 2015)."""

    alpha: float = 1.0

    rules: ClassVar[dict[str, str]] = {"y": "y = x if x > 0 else α·(e^x − 1)", "x": "∂x = δ·(1 if x > 0 else α·e^x)"}

    def value(self, x: Array) -> Array:
        """Return x above 0, else α(eˣ − 1)."""
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def derivative(self, x: Array) -> Array:
        """Return 1 above 0, else αeˣ."""
        return np.where(x > 0, 1.0, self.alpha * np.exp(np.minimum(x, 0)))

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        return ("", "") if x > 0 else (f"{spell(self.alpha)}·(e^{spell(x)} − 1)", f"{spell(self.alpha)}·e^{spell(x)}")


@formula("silu", help="x·σ(x): a smooth ReLU that dips below 0", modules=("SiLU",))
@dataclass(frozen=True, kw_only=True)
class SiLU(Elementwise):
    """x·σ(x); its derivative is σ + x·σ·(1 − σ)."""

    rules: ClassVar[dict[str, str]] = {"y": "y = x·σ(x)", "x": "∂x = δ·(σ(x) + x·σ(x)·(1 − σ(x)))"}

    def value(self, x: Array) -> Array:
        """Return x·σ(x)."""
        found: Array = x * Sigmoid().value(x)
        return found

    def derivative(self, x: Array) -> Array:
        """Return σ(x) + x·σ′(x)."""
        found: Array = Sigmoid().value(x) + x * Sigmoid().derivative(x)
        return found

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        s = spell(float(Sigmoid().value(np.array(x))))
        return f"{spell(x)}·{s}", f"({s} + {spell(x)}·{s}·(1 − {s}))"


@formula("gelu", help="x·Φ(x), Φ the normal distribution: exact, or by its tanh approximation", modules=("GELU",))
@dataclass(frozen=True, kw_only=True)
class GELU(Elementwise):
    """x·Φ(x) with Φ the standard normal distribution, or torch's tanh approximation of it (Hendrycks and Gimpel 2016)."""

    approximate: Literal["none", "tanh"] = "none"

    rules: ClassVar[dict[str, str]] = {"y": "y = x·Φ(x)", "x": "∂x = δ·(Φ(x) + x·Φ′(x))"}

    def share(self, x: Array) -> Array:
        """Return Φ(x)."""
        if self.approximate == "tanh":
            found: Array = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            return found
        exact: Array = np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), otypes=[np.float64])(x)
        return exact

    def value(self, x: Array) -> Array:
        """Return x·Φ(x)."""
        found: Array = x * self.share(x)
        return found

    def derivative(self, x: Array) -> Array:
        """Return Φ(x) + x·Φ′(x)."""
        if self.approximate == "tanh":
            inner = 1 - np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)) ** 2
            density = 0.5 * inner * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        else:
            density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        found: Array = self.share(x) + x * density
        return found

    def spelled(self, x: float) -> tuple[str, str]:
        """Spell both."""
        return f"{spell(x)}·Φ({spell(x)})", f"(Φ({spell(x)}) + {spell(x)}·Φ′({spell(x)}))"
