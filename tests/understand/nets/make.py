"""Write the weights of a finished run in half precision, preprocessing and class names within: see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import striate as st
from striate.training import Run


def main() -> None:
    """python tests/understand/nets/make.py RUN NAME"""
    folder, name = sys.argv[1:]
    run = Run.load(Path(folder))
    path = Path(__file__).parent / f"{name}.safetensors"
    st.zoo.save_weights(run.model, path, preprocess=run.preprocess, classes=run.classes, half=True)
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
