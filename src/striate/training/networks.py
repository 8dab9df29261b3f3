"""The network of a training: built by its zoo name for the data, its first weights drawn from the run's seed, or the one that was given."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.core.contracts import Data
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, random_state_kept
from striate.data.vocabulary import Vocabulary
from striate.training.arguments import a_network


def seed_others(*parts: int) -> None:
    """Seed Python's and NumPy's global generators, which some networks draw from, from the parts that torch's are seeded from."""
    seed = derived_seed(*parts)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 - the global generator is the one they use


MODEL_SEED = 0
"""Keeps the random numbers of the first weights apart from those of the steps."""


def network_for(model: nn.Module | str, data: Data, seed: int, options: Mapping[str, Any] | None = None, *, beside: int = 0) -> nn.Module:
    """Return the network; one of the zoo has an output for each class and `beside` more, which some tasks ask for."""
    if not isinstance(model, str):
        a_network(model)
        if options:
            raise ArgumentError(f"options: {', '.join(options)} go to the zoo's factories; this network is built already")
        return model
    from striate.zoo import build
    from striate.zoo.registry import architectures

    if isinstance(data.preprocess, Vocabulary) and model in architectures and "words" in architectures.entry(model).signature.names:
        options = {"words": len(data.preprocess), **(options or {})}
    with random_state_kept():
        seed_others(seed, MODEL_SEED)
        torch.manual_seed(derived_seed(seed, MODEL_SEED))
        network: nn.Module = build(model, classes=len(data.classes) + beside, input=data.shape, options=options)
    return network
