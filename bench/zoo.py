"""The zoo against torchvision's form of the same nets, and what channels_last, bf16, fused batch norms and compiling give.

    pip install -c constraints.txt -e .[oracles]
    python bench/zoo.py                          # about a quarter of an hour on 2 cores
    python bench/zoo.py --names resnet18 --batch 4 --size 96 --rounds 1 --turns 2 --no-compile

Both networks hold the same weights in the same memory and take turns in one process; ratios are ours over theirs, forward pass in evaluation mode
and training step (forward, loss, backward) in training mode, channels_last.
"""

from __future__ import annotations

import argparse

from harness import PEERS, Job, Result, alternate, ceilings_job

NAMES = ("alexnet", "vgg11_bn", "googlenet", "inception_v3", "resnet18", "resnet50", "resnext50_32x4d", "densenet121", "squeezenet1_1")
LIMITS = {"fp32": 1.10, "bf16": 1.03}


def main() -> None:
    """Run the rounds and write bench/results/zoo.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="zoo", help="of the result's file")
    parser.add_argument("--names", nargs="+", default=list(NAMES))
    parser.add_argument("--forms", nargs="*", default=["resnet18", "squeezenet1_1"], help="networks tried in every form, in the first round")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a pair takes turns at least")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()

    def size(name: str) -> str:
        return str(max(asked.size, 299) if name == "inception_v3" and asked.size == 224 else asked.size)

    def jobs(number: int) -> list[Job]:
        shared = ("--batch", str(asked.batch), "--turns", str(asked.turns))
        longer = ("--seconds", str(asked.seconds))
        pairs = [
            Job(f"{name} {precision}", PEERS / "zoo_pair.py", (name, "--size", size(name), "--precision", precision, *shared, *longer))
            for name in asked.names
            for precision in LIMITS
        ]
        plain = ("--no-compile",) if asked.no_compile else ()
        forms = [Job(f"{name} forms", PEERS / "zoo_forms.py", (name, "--size", size(name), *shared, *plain)) for name in asked.forms]
        return [ceilings_job(asked.ceiling_seconds), *pairs, *(forms if number == 0 else [])]

    answers = alternate(asked.rounds, jobs)
    result = Result(asked.name, "The zoo against torchvision's form of the same nets", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    for name in asked.names:
        for precision, limit in LIMITS.items():
            for what in ("forward", "step"):
                ratios = [answer[f"{what} ratio"] for answer in answers[f"{name} {precision}"]]
                spelled = "forward pass" if what == "forward" else "training step"
                result.row(f"{name}, {precision}: {spelled}, ours over torchvision's", ratios, "times", limit=limit)
    for name in asked.forms:
        for form in [key for key in answers[f"{name} forms"][0] if key not in ("plain", "process_seconds")]:
            rates = [(answer[form], answer["plain"]) for answer in answers[f"{name} forms"]]
            result.ratio(f"{name}: {form} over plain fp32, forward pass", [a for a, _ in rates], [b for _, b in rates])
    result.note(
        "Both hold the same weights, in the same memory, and take turns in one process that keeps freed memory; a round's figure is the ratio of "
        "their fastest turns (medians move by a tenth on a shared machine)."
    )
    result.save()


if __name__ == "__main__":
    main()
