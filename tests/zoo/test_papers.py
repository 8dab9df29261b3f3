"""The papers' training recipes that cards carry: `train` can follow each, and the rates are those the papers give, epoch by epoch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate import data, zoo
from striate.core.contracts import Recipe
from striate.training.optimisers import Optimiser
from striate.training.schedules import rate_share
from striate.zoo import papers

RECIPES = {name: value for name, value in vars(papers).items() if isinstance(value, Recipe)}

RATES = {  # epoch -> rate, as the papers' text has it
    "GOOGLENET_IMAGENET": {0: 0.01, 7.9: 0.01, 8.1: 0.01 * 0.96, 16.1: 0.01 * 0.96**2, 59: 0.01 * 0.96**7},
    "INCEPTION_IMAGENET": {0: 0.045, 1.9: 0.045, 2.1: 0.045 * 0.94, 50.1: 0.045 * 0.94**25, 99: 0.045 * 0.94**49},
    "SQUEEZENET_IMAGENET": {0: 0.04, 17: 0.03, 34: 0.02, 51: 0.01},
    "DENSENET_IMAGENET": {0: 0.1, 29.9: 0.1, 30.1: 0.01, 59.9: 0.01, 60.1: 0.001, 89: 0.001},
    "DENSENET_CIFAR": {0: 0.1, 149: 0.1, 151: 0.01, 224: 0.01, 226: 0.001},
    "FRACTALNET_CIFAR": {0: 0.02, 199: 0.02, 201: 0.002, 301: 2e-4, 351: 2e-5, 376: 2e-6},
    "DPN_IMAGENET": {0: 0.1**0.5},
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_can_be_followed(name):
    recipe = RECIPES[name]
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    prepared = data.arrays(torch.randint(0, 256, (8, 3, 40, 40), dtype=torch.uint8).numpy(), [0, 1] * 4).prepared(augment=recipe.augment)
    batch = next(iter(prepared.split("train").batches(8, epoch=0, seed=0)))
    before = model(batch.x.float()).detach()
    optimiser = Optimiser(model, recipe)
    optimiser.set_rate(rate_share(recipe, 0.2))
    model(batch.x.float()).square().mean().backward()
    optimiser.step()
    assert not torch.equal(model(batch.x.float()), before)


@pytest.mark.parametrize("name", RATES)
def test_rates_are_the_papers(name):
    recipe = RECIPES[name]
    for epoch, rate in RATES[name].items():
        assert recipe.lr * rate_share(recipe, epoch / recipe.epochs) == pytest.approx(rate, rel=1e-3), epoch


def test_cards_carry_a_recipe_of_the_papers_or_say_nothing():
    carried = {id(zoo.card(name).recipe) for name in ("googlenet", "inception_v3", "squeezenet1_1", "densenet121", "densenet_40_12", "dpn92")}
    assert carried <= {id(recipe) for recipe in RECIPES.values()}
    assert zoo.card("fractalnet20").recipe is papers.FRACTALNET_CIFAR
