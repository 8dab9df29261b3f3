from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from striate.core import runtime
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, random_state_kept, settings


def test_derived_seeds_of_a_whole_training_are_all_different_and_balanced():
    seeds = [derived_seed(seed, epoch, step) for seed in range(3) for epoch in range(20) for step in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    bits = np.unpackbits(np.array(seeds, np.uint64).view(np.uint8).reshape(len(seeds), 8), axis=1)
    share = bits.mean(axis=0)
    share = np.delete(share, 56)  # the top bit of the little-endian word is always 0
    assert abs(share - 0.5).max() < 5 * 0.5 / len(seeds) ** 0.5


def test_the_order_and_number_of_parts_count():
    assert len({derived_seed(1, 2), derived_seed(2, 1), derived_seed(1), derived_seed(1, 2, 0), derived_seed(-1)}) == 5


def test_a_generator_repeats_and_leaves_the_global_state_alone():
    import torch

    before = torch.get_rng_state()
    first, second = (torch.rand(4, generator=runtime.generator(7, 1)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_random_state_is_kept_even_through_an_error():
    import torch

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002, S311

    def disturb():
        with random_state_kept():
            draw()
            raise RuntimeError("inside")

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    undisturbed = draw()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="inside"):
        disturb()
    assert draw() == undisturbed


@pytest.mark.parametrize(
    ("flags", "precision"), [({"avx512f", "avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16"), ({"avx512f"}, "fp32"), (set(), "fp32")]
)
def test_auto_precision_follows_the_processor(monkeypatch, flags, precision):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset(flags))
    assert settings("cpu").precision == precision
    assert settings("cpu", "fp32").precision == "fp32"
    assert settings("cpu", "bf16").precision == "bf16"


def test_unknown_devices_and_precisions_are_refused_with_what_is_allowed():
    with pytest.raises(ArgumentError, match="device: got 'gpu', expected auto, cpu, cuda, cuda:N or mps"):
        settings("gpu")
    with pytest.raises(ArgumentError, match="precision: got 'fp16', expected auto, fp32 or bf16"):
        settings("cpu", "fp16")


def test_a_device_that_is_not_here_is_refused():
    import torch

    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ArgumentError, match=f"device: '{absent}' is not usable here .* use device='cpu' or 'auto'"):
        settings(absent)


def test_versions_name_what_decides_the_bits():
    import torch

    found = runtime.versions()
    assert found["torch"] == torch.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(found) == {"python", "striate", "torch", "numpy", "pillow", "safetensors"}


def test_the_machine_is_told():
    import torch

    told = runtime.machine()
    assert told["threads"] == torch.get_num_threads()
    assert told["cores"] >= 1
    assert told["processor"]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
@pytest.mark.parametrize(("word", "expected"), [("", True), ("system", False)])
def test_keeping_freed_memory_can_be_refused(word, expected):
    import platform

    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not under glibc")
    program = "from striate.core.runtime import keep_freed_memory as keep; print(keep())"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "STRIATE_MALLOC": word}, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(expected)
