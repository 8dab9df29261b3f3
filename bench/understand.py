"""Understanding: striate beside captum, grad-cam, foolbox and lucent on the same pictures: who is right, how fast, how good the maps are.

    python bench/venvs.py captum grad-cam foolbox lucent       # once
    python bench/understand.py --net resnet50_v1 --weights resnet50_v1.safetensors     # trained weights: bf16's rank correlation counts
    python bench/understand.py --net resnet18 --only occlusion integrated              # some tasks, weights drawn by lot
    python bench/understand.py --small                         # a smoke test

Every library runs in its own environment on the same build of torch; peers whose environment is not there are left out and named. Quality figures
need STRIATE_DATA (CIFAR-10): the gap between removing least and most relevant blocks first, of a ResNet-20 kept with the tests.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import PEERS, ROOT, Job, Result, alternate, ceilings_job, say
from venvs import installed, python_of

WHO = ("captum", "grad-cam", "foolbox", "lucent")
NET = ROOT / "tests" / "understand" / "nets" / "resnet20_cifar10.safetensors"
SCRIPT = PEERS / "explain.py"
RATIOS = (
    ("occlusion in fp32 against captum's best batch", "captum", "occlusion", "occlusion", 1.2),
    ("occlusion as it comes (bf16 where its order holds) against captum as it comes", "captum", "=occlusion", "occlusion, auto", 3.5),
    ("integrated gradients of 50 gradients, fp32, against captum", "captum", "integrated gradients", "integrated gradients, 50 gradients", 2.0),
    ("integrated gradients to 1 % completeness, fp32, against captum's 50", "captum", "integrated gradients", "=integrated gradients", None),
    ("Score-CAM as it comes against grad-cam as it comes", "grad-cam", "=Score-CAM", "Score-CAM, auto", 2.0),
    ("Score-CAM as it comes against grad-cam's best batch", "grad-cam", "Score-CAM", "Score-CAM, auto", None),
    ("saliency against captum", "captum", "saliency", "saliency", 1.0),
    ("Grad-CAM against captum", "captum", "Grad-CAM", "Grad-CAM", 1.0),
    ("Grad-CAM against grad-cam", "grad-cam", "Grad-CAM", "Grad-CAM", 1.0),
    ("guided backpropagation against captum", "captum", "guided", "guided", None),
    ("PGD of 40 steps against foolbox", "foolbox", "PGD-40", "PGD-40", None),
    ("activation maximisation against lucent, both as they come", "lucent", "maximise", "maximise", None),
)
"""What, whose, the peer's fastest task of this beginning (or, with =, this one), ours likewise, the least it should be."""


def main() -> None:
    """Run what is asked for and write bench/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--weights", type=Path, default=None, help="trained weights; drawn by lot without")
    parser.add_argument("--name", default=None, help="of the result's file; by default understand-NET")
    parser.add_argument("--only", nargs="*", default=(), help="tasks by their first words, such as occlusion; all without")
    parser.add_argument("--parts", nargs="*", choices=("conformance", "speed", "quality"), default=("conformance", "speed", "quality"))
    parser.add_argument("--count", type=int, default=200, help="CIFAR-10 test pictures for the quality figures")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    if asked.small:
        asked.rounds, asked.net, asked.weights, asked.count = 1, "resnet20", NET, 8
    there = [who for who in WHO if who in installed()]
    settings = {**vars(asked), "weights": asked.weights and asked.weights.name}
    result = Result(asked.name or f"understand-{asked.net}", f"Understanding, {asked.net}", settings)
    if missing := [who for who in WHO if who not in there]:
        result.note(f"Not installed here, so not measured: {', '.join(missing)}.")
    if "conformance" in asked.parts:
        conformance(result, there)
    if "speed" in asked.parts:
        speed(result, asked, there)
    if "quality" in asked.parts:
        quality(result, asked, there)
    result.save()


def job(who: str, what: str, *arguments: str, called: str = "") -> Job:
    """Return one process of `who`, in its own environment."""
    return Job(called or who, SCRIPT, (who, what, *arguments), python=sys.executable if who == "striate" else str(python_of(who)))


def conformance(result: Result, there: list[str]) -> None:
    """Let everybody with gradient rules run the public suite."""
    told: dict[str, Any] = {}
    for who in ("striate", *(who for who in ("captum", "grad-cam") if who in there)):
        answer = job(who, "conformance").run()
        result.peers[who] = answer["versions"]
        told[who] = answer["right"]
        for rule, cases in answer["right"].items():
            right = [name for name, each in cases.items() if each["right"]]
            result.row(f"{who}: {rule}, right on cases of the conformance suite", [len(right)], f"of {len(cases)}")
            if plain := [name for name, each in cases.items() if each["plain"]]:
                result.note(f"{who}, {rule}: silently the plain gradient for {', '.join(plain)}.")
            if wrong := [name for name, each in cases.items() if each["error"] > 1e-5 and not each["plain"]]:
                result.note(f"{who}, {rule}: wrong in another way for {', '.join(wrong)}.")
            if left := [name for name, each in cases.items() if each["left"]]:
                what = sorted({word.split(" of ")[0] for each in cases.values() for word in each["left"]})
                result.note(f"{who}, {rule}: leaves the model changed ({', '.join(what)}) in {len(left)} of {len(cases)} cases.")
    result.raw["conformance"] = told


def speed(result: Result, asked: argparse.Namespace, there: list[str]) -> None:
    """Time everybody's tasks on one picture, round by round, and put striate's beside the peers'."""
    size, classes = ("32", "10") if asked.small else ("224", "1000")
    rest = ["--net", asked.net, "--size", size, "--classes", classes, *(["--weights", str(asked.weights)] if asked.weights else [])]
    rest += ["--only", *asked.only] if asked.only else []
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), *(job(who, "speed", *rest) for who in ("striate", *there))])
    result.saw_ceilings(answers["ceilings"])
    seconds = {who: {name: [each["seconds"][name] for each in answers[who]] for name in _common(answers[who])} for who in ("striate", *there)}
    for who, tasks in seconds.items():
        result.peers[who] = answers[who][0]["versions"]
        for name, values in tasks.items():
            result.row(f"{who}: {name}, one picture", values, "s")
        for name, reason in answers[who][0]["failed"].items():
            result.note(f"{who}: {name} failed: {reason}")
        for name, facts in answers[who][0]["facts"].items():
            for key, value in facts.items():
                result.note(f"{who}: {name}: {key.replace('_', ' ')} {value:.4g}.")
    for what, who, theirs, ours, least in RATIOS:
        one, other = _best(seconds.get(who, {}), theirs), _best(seconds["striate"], ours)
        if one is not None and other is not None:
            result.ratio(what, one, other, limit=least)
    result.note(
        "Weights are trained." if asked.weights else "Weights were drawn by lot: bf16's rank correlation to fp32 says nothing about trained ones."
    )
    result.note("striate's process calls keep_freed_memory first, as its command line does; the others run as any script does.")
    result.raw["speed"] = {who: answers[who] for who in seconds}


def quality(result: Result, asked: argparse.Namespace, there: list[str]) -> None:
    """Judge everybody's maps of the same pictures by the same measure, beside centre prior and chance."""
    rest = ("--net", "resnet20", "--size", "32", "--classes", "10", "--weights", str(NET), "--count", str(asked.count))
    with tempfile.TemporaryDirectory() as folder:
        for who in ("striate", *(who for who in ("captum", "grad-cam") if who in there)):
            job(who, "maps", *rest, "--out", str(Path(folder) / f"{who}.npz")).run()
            say(f"maps of {asked.count} pictures by {who}")
        figures = job("striate", "judge", *rest, "--out", folder).run()["figures"]
    for name, found in figures.items():
        result.row(f"{name}: gap between least and most relevant blocks removed first, {asked.count} pictures", [found["gap"]], "of p(class)")
        if "insertion_area" in found:
            result.row(f"{name}: insertion area, {asked.count} pictures", [found["insertion_area"]], "of p(class)")
    result.raw["quality"] = figures


def _common(answers: list[dict[str, Any]]) -> list[str]:
    return [name for name in answers[0]["seconds"] if all(name in each["seconds"] for each in answers)]


def _best(tasks: dict[str, list[float]], name: str) -> list[float] | None:
    """Return the times of the fastest task that begins so, or of exactly this one where `name` begins with = or is a task of striate's."""
    if name.startswith("="):
        return tasks.get(name[1:])
    if name in tasks and not any(other.endswith("at once") for other in tasks if other.startswith(name)):
        return tasks[name]
    found = [values for task, values in tasks.items() if task == name or (task.startswith(f"{name},") and "auto" not in task)]
    return min(found, key=statistics.median) if found else None


if __name__ == "__main__":
    main()
