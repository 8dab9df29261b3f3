"""Networks that vote: the mean of class shares, as figures and as one network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import striate as st
from striate.core.errors import ArgumentError
from striate.training.ensembles import Ensemble, ensemble


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("members")
    return [st.train("lenet5", "digits", folder=home / str(seed), epochs=3, seed=seed) for seed in (0, 1)]


def test_the_vote_is_the_mean_of_the_members_shares(runs):
    voted = ensemble(runs, "digits")
    alone = [st.evaluate(run, "digits") for run in runs]
    mean = (alone[0].shares + alone[1].shares) / 2
    np.testing.assert_allclose(voted.shares, mean, rtol=1e-6)
    assert voted.figures["error"] == pytest.approx(np.mean(mean.argmax(1) != alone[0].targets))
    assert voted.figures["loss"] == pytest.approx(-np.log(mean[np.arange(len(mean)), alone[0].targets]).mean(), rel=1e-5)


def test_as_a_network_it_gives_the_same_shares(runs):
    network = Ensemble([run.model for run in runs]).eval()
    x = torch.randn(3, 1, 16, 16)
    expected = sum(run.model(x).softmax(1) for run in runs) / 2
    torch.testing.assert_close(network(x).softmax(1), expected)


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ArgumentError, match="at least one"):
        ensemble([], "digits")
    with pytest.raises(ArgumentError, match="at least one"):
        Ensemble([])
