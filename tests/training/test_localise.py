"""The task localise: its loss and figures by hand, a training that finds boxes, the run that reads them again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import striate as st
from striate.core.contracts import Batch, Recipe
from striate.core.errors import ArgumentError, DataError
from striate.pixels.boxes import iou
from striate.training.localise import Localise
from striate.training.session import Quiet


def batch_of(boxes=None, points=None, labels=(0,), side=(20, 10)):
    """A batch of pictures of 20 x 10 (H x W) with these targets."""
    extra = {"boxes": torch.tensor(boxes, dtype=torch.float32)} if boxes is not None else {}
    extra |= {"points": torch.tensor(points, dtype=torch.float32)} if points is not None else {}
    return Batch(torch.zeros(len(labels), 3, *side), torch.tensor(labels), torch.arange(len(labels)), extra)


def test_loss_and_figures_by_hand():
    """Outputs 0 are a box of centre (1/2, 1/2) and size (1/2, 1/2): in 20 x 10 pixels (H x W), x 2.5, y 5, w 5, h 10."""
    task = Localise()
    batch = batch_of([(2.5, 5, 5, 5)])  # the upper half of what is said
    output = torch.zeros(1, 2 + 4)
    figures = task.metrics(output, batch)
    assert float(figures["box_error"]) == pytest.approx(0.5)
    assert float(figures["missed"]) == 0  # 0.5 is enough
    # L1 in shares: h differs by 5 / 20; generalised IoU is IoU here, as the hull is the larger box
    expected = math.log(2) + 5 * 0.25 + 2 * (1 - 0.5)
    assert float(figures["loss"]) == pytest.approx(expected)
    assert float(task.loss(output, batch)) == pytest.approx(expected)
    torch.testing.assert_close(task.beside(output, batch)["boxes"], torch.tensor([[2.5, 5, 5, 10]]))
    wrong = task.metrics(output, batch_of([(2.5, 5, 5, 10)], labels=(1,)))
    assert (float(wrong["error"]), float(wrong["missed"]), float(wrong["localisation_error"])) == (1, 0, 1)


def test_what_left_the_picture_or_was_not_seen_does_not_count():
    task = Localise(points=2)
    nan = float("nan")
    batch = batch_of([(3, 3, 0, 0)], [[(5, 10), (nan, nan)]])
    output = torch.zeros(1, 2 + 4 + 4, requires_grad=True)
    loss = task.loss(output, batch)
    assert float(loss.detach()) == pytest.approx(math.log(2))  # the point seen lies in the centre, as output 0 says
    loss.backward()
    assert output.grad.isfinite().all()
    assert output.grad[0, 2:6].abs().sum() == 0
    figures = task.metrics(output.detach(), batch)
    assert (float(figures["box_error"]), float(figures["point_error"])) == (0, 0)
    off = batch_of([(3, 3, 0, 0)], [[(5, 15), (nan, nan)]])
    assert float(task.metrics(output.detach(), off)["point_error"]) == pytest.approx(5 / 20)


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="expected boxes, or at least one point"):
        Localise(boxes=False)
    with pytest.raises(ArgumentError, match=r"needs N \(K \+ 4\)"):
        Localise().loss(torch.zeros(1, 4), batch_of([(1, 1, 2, 2)]))
    with pytest.raises(ArgumentError, match="no boxes, and task 'localise'"):
        Localise().loss(torch.zeros(1, 6), batch_of())
    with pytest.raises(DataError, match="digits: has no boxes and no points"):
        st.train("lenet5", "digits", task="localise", folder=tmp_path / "a")
    with pytest.raises(ArgumentError, match="one view"):
        st.train("lenet5", st.data.pasted(count=10, size=16), task="localise", folder=tmp_path / "b", settings={"views": "mirror"})


def network(outputs):
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, outputs)),
    )


def test_a_small_network_finds_pasted_digits(tmp_path):
    """400 digits on 28 x 28 pixels, 10 epochs: mean IoU of at least 0.6 on held-out digits and backgrounds; a fixed box has less than 0.4."""
    data = st.data.pasted(count=400, size=28, smallest=0.4, largest=0.7, texture=0.25)
    run = st.train(
        network(14), data, task="localise", recipe=Recipe(epochs=10, batch=50, lr=6e-3), folder=tmp_path / "run", device="cpu", precision="fp32"
    )
    figures = run.result["splits"]["test"]
    truth = data.tables["test"].extra["boxes"]
    fixed = iou(data.tables["train"].extra["boxes"].mean(0)[None], truth)
    assert float(fixed.mean()) < 0.4
    assert 1 - figures["box_error"] >= 0.6
    assert figures["missed"] <= 0.2
    with np.load(run.folder / "predictions" / "test.npz") as kept:
        np.testing.assert_array_equal(kept["true_boxes"], truth)
        assert float((1 - iou(kept["boxes"], truth)).mean()) == pytest.approx(figures["box_error"], abs=1e-5)
    assert run.history[-1]["train/error"] < 0.8  # and the class is learned beside it: guessing has 0.9


def test_a_zoo_network_gets_the_outputs_it_needs_and_its_run_reads_them(tmp_path):
    data = st.data.pasted(count=20, size=16)
    recipe = Recipe(epochs=1, batch=10, augment=("mirror", "crop(2)"))
    run = st.train("lenet5", data, task="localise", recipe=recipe, folder=tmp_path / "run", device="cpu", precision="fp32")
    again = st.training.Run.load(run.folder)
    assert again.task.options == {"boxes": True, "points": 0}
    assert 'task="localise"' in again.facts["python"].replace("'", '"')
    x = next(data.split("test").batches(4, epoch=0, seed=0)).x
    output = again.model(x)
    assert output.shape == (len(x), 14)
    assert again.task.decode(output).shape == (len(x), 10)
    assert (again.task.boxes(output)[:, 2:] > 0).all()
    found = st.training.evaluate(again, data, device="cpu", precision="fp32")
    assert found.figures["box_error"] == pytest.approx(run.result["splits"]["test"]["box_error"], abs=1e-5)
    with pytest.raises(ArgumentError, match="one view"):
        st.training.evaluate(again, data, views="mirror", device="cpu", precision="fp32")


def test_a_stopped_run_goes_on_to_the_same_boxes(tmp_path):
    """Augmented boxes are functions of seed, epoch and step, so the resumed run ends in the weights of the one that was never stopped."""

    class Stop(Quiet):
        def epoch_ended(self, row):
            if row["epoch"] == 2:
                raise KeyboardInterrupt

    spec = st.data.load("pasted", options={"count": 30, "size": 16})
    how = {"task": "localise", "recipe": Recipe(epochs=3, batch=10, augment=("mirror", "affine(10)")), "device": "cpu", "precision": "fp32"}
    whole = st.train("lenet5", spec, folder=tmp_path / "whole", **how)
    with pytest.raises(KeyboardInterrupt):
        st.train("lenet5", spec, folder=tmp_path / "part", progress=Stop(), **how)
    again = st.training.resume(tmp_path / "part")  # opens the data from what the run's folder says
    wanted = whole.model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in again.model.state_dict().items())
