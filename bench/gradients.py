"""What one explanation costs beyond the gradient it needs (row U3): striate, captum and plain torch in turn in one process.

    python bench/venvs.py captum                                                      # once
    python bench/gradients.py --weights FOLDER       # with resnet50_v1.safetensors; a few minutes on two cores
    python bench/gradients.py --small                # a smoke test

Folding batch norms before, and bf16, tell what could be had: the share of time, and whether the map keeps its order (Spearman's rank correlation of
saliency maps, three photographs).
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from harness import PEERS, BenchError, Job, Result, alternate, ceilings_job
from venvs import installed, python_of

AGAINST = (
    ("saliency against captum", "captum: saliency", "striate: saliency", 1.0),
    ("Grad-CAM against captum", "captum: Grad-CAM", "striate: Grad-CAM", 1.0),
    ("guided backpropagation against captum", "captum: guided", "striate: guided", None),
    ("saliency against the bare gradient", "plain torch", "striate: saliency", None),
    (
        "saliency of a network with its batch norms folded before, against captum",
        "captum: saliency",
        "striate: saliency, batch norms folded before",
        None,
    ),
    ("the bare gradient in bf16, batch norms folded, against float32", "plain torch", "plain torch, the same in bf16", None),
)


def main() -> None:
    """Run the rounds and write bench/results/gradients.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a folder with resnet50_v1.safetensors; without it that network's weights are random")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    if "captum" not in installed():
        raise BenchError("captum is not installed: python bench/venvs.py captum")
    file = asked.weights / "resnet50_v1.safetensors" if asked.weights else None
    nets = {"resnet20": ("--size", "48", "--classes", "10", "--turns", "2", "--count", "1")} if asked.small else {"resnet18": (), "resnet50_v1": ()}
    if asked.small:
        asked.rounds = 1
    elif file is not None:
        nets["resnet50_v1"] = ("--weights", str(file))
    jobs = [Job(net, PEERS / "gradients.py", ("--net", net, *more), python=str(python_of("captum"))) for net, more in nets.items()]
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), *jobs])
    result = Result("gradients", "One gradient, and what is around it", {**vars(asked), "weights": file.name if file else None})
    result.saw_ceilings(answers["ceilings"])
    for net in nets:
        found = answers[net]
        for what, above, below, limit in AGAINST:
            turns = [[a / b for a, b in zip(answer["seconds"][above], answer["seconds"][below], strict=True)] for answer in found]
            result.row(f"{net}: {what}, turn by turn", [statistics.median(each) for each in turns], "times", limit=limit, at_least=True)
        for name in found[0]["seconds"]:
            result.row(f"{net}: {name}", [statistics.median(answer["seconds"][name]) for answer in found], "s")
        for how in ("folded", "bf16"):
            result.row(f"{net}: rank correlation of its saliency, {how}, with the plain one", found[0]["agreement"][how], "")
    result.save()


if __name__ == "__main__":
    main()
