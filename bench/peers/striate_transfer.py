"""One `striate train` from pretrained weights, timed from starting the command to its report.

python bench/peers/striate_transfer.py --photos DIR --weights FILE --model resnet50_v1 --strategy linear
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import tell


def main():
    parser = argparse.ArgumentParser()
    for name in ("photos", "weights", "model", "strategy"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [str(Path(sys.executable).with_name("striate")), "train", asked.photos, "--model", asked.model, "--weights", asked.weights]
        words += ["--strategy", asked.strategy, "--folder", str(Path(folder) / "run"), "--json"]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        answer = json.loads(done.stdout)
        report = Path(answer["report"])
        assert report.exists()
    part = answer["splits"].get("test") or answer["splits"]["val"]
    tell(seconds=seconds, error=part["error"], report=True)


if __name__ == "__main__":
    main()
