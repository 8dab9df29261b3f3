"""Every architecture compiles, and one of each family leaves as ONNX and computes the same there."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import FORMS, NAMES, QUICK, build, calibrated, pictures, small

from striate.zoo.registry import architectures

FAMILIES = {architectures.entry(name).module: name for name in reversed((*QUICK, *FORMS))}
"""The first form of each file."""
EXPORTED = sorted({*FAMILIES.values(), "lenet5_1998", "googlenet_2014", "alexnet_2012"})
MARKS = {name: [] if name == "lenet5" else pytest.mark.slow if name in EXPORTED else pytest.mark.soak for name in NAMES}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in NAMES])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_networks_give_the_same(name):
    """Backend aot_eager: dynamo traces it whole and autograd's graph is made ahead; the numbers are the eager ones."""
    torch._dynamo.reset()
    x = pictures(small(name))
    model = calibrated(build(name), x)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        wanted = model(x)
        assert (compiled(x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.filterwarnings("ignore")
def test_exported_networks_give_the_same_in_another_runtime(name, tmp_path):
    """The batch stays free: exported with two pictures, run with three."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="install the development extra")
    pytest.importorskip("onnxscript", reason="install the development extra")
    shape = small(name)
    x = pictures(shape, 3)
    model = calibrated(build(name), x)
    file = Path(tmp_path) / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x[:2],), file, dynamo=True, verbose=False, input_names=["images"], dynamic_shapes=({0: torch.export.Dim("batch")},))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"images": x.numpy()})
    with torch.no_grad():
        wanted = model(x).numpy()
        exact = model.double()(x.double() if x.is_floating_point() else x).numpy()
    own = np.abs(wanted - exact).max()  # a deep random net amplifies float32's rounding; another runtime rounds elsewhere
    assert np.abs(got - exact).max() <= max(20 * own, 1e-5 * np.abs(exact).max())
    assert own <= 0.02 * np.abs(exact).max()


def test_each_file_of_the_zoo_has_a_form_that_is_run():
    """A new family file puts one of its networks into FORMS."""
    assert set(FAMILIES) == {architectures.entry(name).module for name in NAMES}
