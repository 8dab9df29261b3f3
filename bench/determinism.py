"""Same seed, same threads, same machine: same bits. Each training is run twice in fresh processes; another seed must give other bits.

python bench/determinism.py         # about 2 minutes; needs STRIATE_DATA for mnist and cifar10
"""

from __future__ import annotations

import argparse
import os

from harness import PEERS, BenchError, Job, Result, alternate, ceilings_job

CASES = {
    "digits": ("lenet5", "digits", "5"),
    "mnist": ("lenet5", "mnist", "0.5"),
    "mnist, batch norm": ("sprint28", "mnist", "0.3"),
    "cifar10": ("sprint32", "cifar10", "0.1"),
    "cifar10, residual": ("resnet20", "cifar10", "0.05"),
}
"""What is trained: network, data, epochs."""


def main() -> None:
    """Run every case three times and write bench/results/determinism.json; status 1 where the bits say otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--shorter", type=float, default=1.0, help="divide the epochs by this, for smoke tests")
    asked = parser.parse_args()
    cases = [case for case in asked.cases if case == "digits" or os.environ.get("STRIATE_DATA")]
    if not cases:
        raise BenchError("set STRIATE_DATA: all cases asked for need the real sets")

    def jobs(number: int) -> list[Job]:
        chosen = [(case, *CASES[case]) for case in cases]
        seed = str(3 if number < 2 else 4)
        script = PEERS / "striate_bits.py"
        return [Job(case, script, (model, data, str(float(epochs) / asked.shorter), seed)) for case, model, data, epochs in chosen]

    answers = alternate(3, jobs)
    result = Result("determinism", "Same seed, same bits", vars(asked))
    result.saw_ceilings(alternate(1, lambda _: [ceilings_job(0.1)])["ceilings"])
    wrong = []
    for case in cases:
        first, again, other = answers[case]
        same, differs = first["weights"] == again["weights"] and first["history"] == again["history"], first["weights"] != other["weights"]
        wrong += [] if same and differs else [case]
        what = f"{case}: {first['model']}, {first['steps']} steps, {first['precision']}: equal bits"
        result.row(what, [2 if same else 1], "of 2 runs", limit=2, at_least=True)
    result.note("Compared: the bytes of weights.safetensors and the history but for seconds and rate.")
    if not wrong:
        result.note("A third run of each with another seed gave other bits, as it must.")
    if len(cases) < len(asked.cases):
        result.note("STRIATE_DATA was not set: the cases that need the real sets were left out.")
    result.raw = {case: [answer["weights"] for answer in answers[case]] for case in cases}
    result.save()
    if wrong:
        raise SystemExit(f"not deterministic: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
