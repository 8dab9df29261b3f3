"""MNIST: seconds an epoch, and seconds until 0.82 % test error at fixed lengths; striate against the plain example loop, and others that are there.

    python bench/mnist.py                                                         # LeNet-5, 61,706 parameters: about 12 minutes on two quiet cores
    python bench/mnist.py --model sprint28 --lengths 0.5 1 2 3 --plain-epochs 3   # the small batch-norm net
    python bench/venvs.py && python bench/mnist.py --peers fastai lightning keras # others too (three epochs each, one seed)

Needs STRIATE_DATA. Each seed is one round: the plain loop (one run; its error after epoch k is that of a run of fixed length k), then striate once
for each length. "Sooner at 0.82 %" compares, on both sides, the shortest fixed length whose mean test error over the seeds is at most 0.82 %.
Seconds count training only on both sides: opening the data and testing are left out.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from harness import PEERS, Job, Result, alternate, ceilings_job, data_folder, say
from striate.core.runtime import settings as runtime_settings
from venvs import PACKAGES, installed, python_of

LIMITS = {"lenet5": ((0.82, 6.0), (0.60, 12.0)), "sprint28": ((1.0, 2.5), (0.5, 12.0))}
"""Mean test error in percent, and the seconds of training in which it is to be reached."""
Answers = list[dict[str, Any]]


def plain_job(asked: argparse.Namespace, seed: int, epochs: int, workers: int) -> Job:
    """Return the plain loop's job."""
    words = ["--model", asked.model, "--epochs", str(epochs), "--seed", str(seed), "--workers", str(workers), "--optimiser", asked.plain_optimiser]
    words += ["--limit", str(asked.limit)] if asked.limit else []
    python = {"python": str(python_of("fastai"))} if "fastai" in installed() else {}  # it has torchvision, whose transforms the usual example takes
    return Job("plain", PEERS / "plain_mnist.py", tuple(words), **python)


def striate_job(asked: argparse.Namespace, seed: int, length: float) -> Job:
    """Return striate's job of one fixed length."""
    words = ["--model", asked.model, "--epochs", str(length), "--seed", str(seed)]
    words += ["--recipe", asked.recipe] if asked.recipe else []
    for edit in asked.set:
        words += ["--set", edit]
    return Job(f"striate {length:g}", PEERS / "striate_mnist.py", tuple(words))


def peer_job(asked: argparse.Namespace, peer: str) -> Job:
    """Return another peer's job, in its own environment."""
    words = ["--model", asked.model, "--epochs", str(asked.peer_epochs), *(["--limit", str(asked.limit)] if asked.limit else [])]
    return Job(peer, PEERS / f"{peer}_mnist.py", tuple(words), python=str(python_of(peer)))


def faster_workers(asked: argparse.Namespace) -> tuple[int, dict[int, float]]:
    """Try the plain loop's DataLoader without and with two worker processes, one epoch each; return the faster and both times."""
    times = {workers: round(plain_job(asked, 0, 1, workers).run()["epoch_seconds"][0], 3) for workers in (0, 2)}
    say(f"plain loop, seconds an epoch by DataLoader workers: {times}")
    return min(times, key=lambda workers: times[workers]), times


def shortest(errors: dict[float, list[float]], seconds: dict[float, list[float]], goal: float) -> tuple[float, list[float]] | None:
    """Return the shortest length whose mean error is at most `goal` percent, and the seconds of its runs; None when none is."""
    for length in sorted(errors):
        if statistics.mean(errors[length]) <= goal / 100 + 1e-9:
            return length, seconds[length]
    return None


def epochs_of(length: float) -> str:
    """Spell a length: `1 epoch`, `2.5 epochs`."""
    return f"{length:g} epoch{'s' * (length != 1)}"


def plain_curves(answers: Answers) -> tuple[dict[float, list[float]], dict[float, list[float]]]:
    """Return the plain loop's errors and seconds of training by length, over the seeds."""
    lengths = range(1, len(answers[0]["errors"]) + 1)
    errors = {float(k): [answer["errors"][k - 1] for answer in answers] for k in lengths}
    seconds = {float(k): [sum(answer["epoch_seconds"][:k]) for answer in answers] for k in lengths}
    return errors, seconds


def compare(result: Result, model: str, plain: Answers, ours: dict[float, Answers]) -> None:
    """Fill in the rows: epochs, errors by length, seconds until each goal, ratios."""
    epochs = [statistics.median(answer["epoch_seconds"]) for answer in plain]
    result.row("plain loop, an epoch", epochs, "s")
    longest = ours[max(ours)]
    result.row("striate, an epoch", [answer["epoch_seconds"] for answer in longest], "s")
    result.ratio("an epoch: striate is faster", epochs, [answer["epoch_seconds"] for answer in longest], limit=4 if model == "lenet5" else None)
    errors = {length: [answer["error"] for answer in answers] for length, answers in ours.items()}
    seconds = {length: [answer["seconds"] for answer in answers] for length, answers in ours.items()}
    their_errors, their_seconds = plain_curves(plain)
    for length in sorted(errors):
        result.row(f"striate, {epochs_of(length)}: test error, mean of the seeds", [100 * error for error in errors[length]], "%", by="mean")
    for length in sorted(their_errors):
        result.row(f"plain loop, {epochs_of(length)}: test error, mean of the seeds", [100 * error for error in their_errors[length]], "%", by="mean")
    for goal, limit in LIMITS.get(model, ()):
        reached = shortest(errors, seconds, goal)
        if reached is None:
            best = 100 * min(map(statistics.mean, errors.values()))
            result.row(f"striate: no length tried reaches {goal:g} %; the best mean", [best], "%", limit=goal)
            continue
        what = f"striate until {goal:g} % mean test error ({epochs_of(reached[0])})"
        result.row(what, reached[1], "s", limit=limit, scaled="convolution_bf16")
        theirs = shortest(their_errors, their_seconds, goal)
        bound = "" if theirs else ", at least (the plain loop never got there)"
        words = f"until {goal:g} % ({epochs_of(theirs[0])})" if theirs else f"{epochs_of(max(their_errors))}, never at {goal:g} %"
        until = theirs[1] if theirs else their_seconds[max(their_seconds)]
        result.row(f"plain loop, {words}", until, "s")
        result.ratio(f"{goal:g} % test error: striate is sooner{bound}", until, reached[1], limit=6 if goal == 0.82 else None)


def main() -> None:
    """Run the rounds and write bench/results/mnist-MODEL.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lenet5", choices=("lenet5", "sprint28"))
    parser.add_argument("--recipe", default=None, help="striate's recipe; by default the one that fits")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lengths", type=float, nargs="+", default=[2, 3, 4, 6], help="striate's fixed lengths, in epochs")
    parser.add_argument("--plain-epochs", type=int, default=10)
    parser.add_argument("--plain-optimiser", choices=("adadelta", "sgd"), default="adadelta")
    parser.add_argument("--peers", nargs="*", default=[], choices=list(PACKAGES), help="others beside the plain loop, made by bench/venvs.py")
    parser.add_argument("--peer-epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=None, help="training pictures of the peers, for smoke tests")
    asked = parser.parse_args()
    data_folder()
    missing = [peer for peer in asked.peers if peer not in installed()]
    if missing:
        raise SystemExit(f"no environment for {', '.join(missing)}; first: python bench/venvs.py {' '.join(missing)}")
    workers, tried = faster_workers(asked)

    def jobs(seed: int) -> list[Job]:
        others = [peer_job(asked, peer) for peer in asked.peers] if seed == 0 else []
        ours = [striate_job(asked, seed, length) for length in asked.lengths]
        return [ceilings_job(0.3 if asked.limit is None else 0.01), plain_job(asked, seed, asked.plain_epochs, workers), *ours, *others]

    answers = alternate(asked.seeds, jobs)
    result = Result(f"mnist-{asked.model}", f"MNIST with {asked.model}, {asked.seeds} seeds", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    compare(result, asked.model, answers["plain"], {length: answers[f"striate {length:g}"] for length in asked.lengths})
    for peer in asked.peers:
        epochs = answers[peer][0]["epoch_seconds"]
        result.row(f"{peer}, an epoch", epochs, "s")
        mine = [answer["epoch_seconds"] for answer in answers[f"striate {max(asked.lengths):g}"]]
        result.ratio(f"an epoch: striate against {peer}", [statistics.median(epochs)], mine)
    result.note(f"The plain loop uses {workers} DataLoader workers: an epoch took {tried[0]} s without, {tried[2]} s with two.")
    result.note(f"The plain loop's transforms: {answers['plain'][0]['transforms']}.")
    recipe, precision = answers[f"striate {max(asked.lengths):g}"][0]["recipe"], runtime_settings().precision
    result.note(
        f"Each trains by its own recipe: striate in batches of {recipe['batch']} in {precision} with {recipe['optimiser']}, the plain loop in "
        f"batches of 64 in float32 with {asked.plain_optimiser}. So an epoch's ratio is that of the loops as they come, not of one step."
    )
    result.note("striate's process calls keep_freed_memory first, as its command line does; the plain loop runs as any script does.")
    result.peers = {who: given[0]["versions"] for who, given in answers.items() if "versions" in given[0]}
    result.raw = {"striate_recipe": answers[f"striate {max(asked.lengths):g}"][0]["recipe"]}
    result.raw["errors"] = {who: [a.get("error", a.get("errors")) for a in given] for who, given in answers.items() if who != "ceilings"}
    result.save()


if __name__ == "__main__":
    main()
