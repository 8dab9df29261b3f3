"""The sheet of strongest patches over CIFAR-10's test pictures, timed once in a fresh process."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import tell

import striate as st
from striate import zoo
from striate.core.runtime import keep_freed_memory

NET = Path(__file__).resolve().parents[2] / "tests" / "understand" / "nets" / "resnet20_cifar10.safetensors"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=int)
    asked = parser.parse_args()
    keep_freed_memory()  # the command line does so first of all
    model = zoo.build("resnet20", classes=10, input=(3, 32, 32))
    zoo.load_weights(model, NET)
    data = st.data.load("cifar10")
    began = time.perf_counter()
    sheet = st.understand.top_patches(model, data, split="test", samples=asked.samples)
    found = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        sheet.save(Path(folder) / "sheet.html")
    table = sheet.arrays
    pairs = set(zip(table["layer"].tolist(), table["channel"].tolist(), strict=True))
    tell(seconds=found - began, drawn=time.perf_counter() - found, maps=len(pairs), layers=len({layer for layer, _ in pairs}))


if __name__ == "__main__":
    main()
