"""Activation maximisation judged by other networks: how many of a network's ten class pictures another one names alike.

    python recipes/cifar10_sprint32.py                         # makes the runs that subject and judges come from; needs STRIATE_DATA
    python bench/maximise.py                                   # a ResNet-20 and two sprint32, each the others' judge, seeds 10, 11, 12
    python bench/maximise.py --subjects resnet20 --judges runs/cifar10-sprint32/seed-0 --seeds 20 21 22
    python bench/maximise.py --small                           # a smoke test: few steps, the ResNet-20 alone

`resnet20` is the network kept with the tests. Default options throughout. Every seed and judge is a row of its own, none is chosen; notes say what a
judge saw in the pictures it named otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import ROOT, Result, say
from striate import training, zoo
from striate import understand as u
from striate.understand.inputs import prepare

NET = ROOT / "tests" / "understand" / "nets" / "resnet20_cifar10.safetensors"
NAMED = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RUNS = ("runs/cifar10-sprint32/seed-0", "runs/cifar10-sprint32/seed-2")


def opened(name: str) -> Any:
    """Return the ResNet-20 kept with the tests, or a run."""
    if name == "resnet20":
        network: nn.Module = zoo.build("resnet20", classes=10, input=(3, 32, 32), weights=NET)
        return network
    return training.Run.load(Path(name))


def judged(judge: Any, pictures: Tensor) -> list[list[float]]:
    """Return the shares N 10 a judge gives to pictures N C H W in [0, 1]."""
    with prepare(judge, pictures) as p, torch.no_grad():
        found: list[list[float]] = p.logits.softmax(1).tolist()
    return found


def main() -> None:
    """Grow, judge, and write bench/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", nargs="+", default=["resnet20", *RUNS], help="resnet20, or folders of runs on CIFAR-10")
    parser.add_argument("--judges", nargs="+", default=["resnet20", *RUNS], help="the same; none judges its own pictures")
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11, 12])
    parser.add_argument("--name", default="maximise", help="of the result's file")
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    if asked.small:
        asked.subjects, asked.judges, asked.seeds = ["resnet20"], ["resnet20"], [0]
    result = Result(asked.name, "Activation maximisation, judged by other networks", vars(asked))
    nets = {name: opened(name) for name in dict.fromkeys([*asked.subjects, *asked.judges])}
    for subject in asked.subjects:
        others = [judge for judge in asked.judges if judge != subject or asked.small]
        for seed in asked.seeds:
            made = u.maximise(nets[subject], seed=seed, **({"steps": 4} if asked.small else {}))
            pictures = torch.from_numpy(made.arrays["image"])
            result.raw[f"{subject}, seed {seed}"] = seen = {"own": [round(share, 4) for share in made.arrays["probability"].tolist()]}
            for judge in others:
                shares = judged(nets[judge], pictures)
                winners = [max(range(10), key=each.__getitem__) for each in shares]
                missed = [f"{NAMED[number]} as {NAMED[winner]}" for number, winner in enumerate(winners) if winner != number]
                what = f"{called(subject)}'s pictures, seed {seed}, recognised by {called(judge)}"
                result.row(what, [10 - len(missed)], "of 10", limit=10, at_least=True)
                seen[judge] = [round(each[number], 4) for number, each in enumerate(shares)]
                say(f"{what}: {10 - len(missed)}" + (f" ({', '.join(missed)})" if missed else ""))
                if missed:
                    result.note(f"{called(judge)} on {called(subject)}'s pictures, seed {seed}: {', '.join(missed)}.")
    result.save()


def called(name: str) -> str:
    """Return a short name: the ResNet-20, or run and seed."""
    return "ResNet-20" if name == "resnet20" else " ".join(Path(name).parts[-2:])


if __name__ == "__main__":
    main()
