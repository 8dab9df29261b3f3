"""Transfer to small sets: strategies compared on seeded resplits, seconds from command to report, the naive loop, ten labels a class.

    python bench/transfer.py resplits                                  # codes once, then 20 resplits a net; minutes
    python bench/transfer.py resplits --draws 5 --train 5 --nets squeezenet1_1 --name transfer-trained    # fine-tuning and scratch too; long
    python bench/transfer.py resplits --draws 5 --train 5 --trained finetune --nets resnet50_v1 --name transfer-trained-resnet50    # 20 minutes
    python bench/transfer.py times                                     # cold and cached commands, and the naive loop; minutes
    python bench/transfer.py few                                       # ten labels a class, 20 draws, photographs and CIFAR-10

STRIATE_PHOTOS (or --photos) is a folder of train/ and val/ with class folders (ants and bees: 245 and 153 pictures); STRIATE_WEIGHTS (or --weights)
holds resnet50_v1.safetensors and squeezenet1_1.pth. `few` also needs STRIATE_DATA. One official validation part decides nothing at one point, so
strategies are compared on stratified resplits of all labelled pictures (as many held out as the official part has), seed by seed, as paired
differences with a 95 % t interval. The plain probe is what everybody does first: centre crops of 224 pixels, pooled codes of the last layer,
scikit-learn's LogisticRegression as it comes.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from harness import PEERS, Job, Result, alternate, ceilings_job, say

FILES = {"resnet50_v1": "resnet50_v1.safetensors", "squeezenet1_1": "squeezenet1_1.pth"}
TOP = {"resnet50_v1": "layer4", "squeezenet1_1": "features.12"}
LIMITS = {("resnet50_v1", "linear"): 25, ("resnet50_v1", "auto"): 150, ("squeezenet1_1", "linear"): 12, "cached": 8}
"""Seconds from command to report on the reference machine."""
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262, 20: 2.093, 30: 2.045}


def told(asked):
    """Return the settings without this machine's paths."""
    return {name: Path(value).name if name in ("photos", "weights") else value for name, value in vars(asked).items()}


def interval(values, held=0.0):
    """Return the mean of paired differences and half of its 95 % t interval.

    `held`: how many times as many pictures each split holds out as it sees. Resplits of one set overlap, so their spread tells too little of what
    other pictures would give: with `held` the variance is Nadeau and Bengio's (2003), (1/n + held) instead of 1/n.
    """
    n = len(values)
    t = T95.get(n, 1.96)
    return statistics.mean(values), t * statistics.stdev(values) * math.sqrt(1 / n + held) if n > 1 else math.inf


def whole_of(spec):
    """Return the labelled pictures of all parts as one split, and how many of them the official held-out part has."""
    from striate.data import load
    from striate.data.splits import joined

    data = load(spec)
    held = len(data.tables.get("val") or data.tables["test"])
    whole = joined([table for table in data.tables.values() if table.targets is not None])
    return dataclasses.replace(data, tables={"train": whole}), held, len(data.tables["train"])


def opened(net, weights, data, size=None):
    from striate.transfer.opening import open_pretrained

    return open_pretrained(net, data, weights=Path(weights) / FILES[net], size=size)


def codes_of(net, weights, data):
    """Return striate's codes (its own size, both views) and the plain probe's (224, centre crop)."""
    from striate.transfer import codes

    ours, plain = opened(net, weights, data), opened(net, weights, data, size=224)
    return codes(ours.model, ours.data, mirror=True), codes(plain.model, plain.data, [TOP[net]]), ours.data


def accuracy(logits, targets):
    return 100 * float((np.asarray(logits).argmax(1) == targets).mean())


def on_codes(found, plain, data, seen, held):
    """Return every strategy's accuracy in percent on the held-out rows; all choices are made on the seen ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    from striate.transfer.advice import judge
    from striate.transfer.choices import Choice, best, compare

    y, part, rest = found.targets, found.take(seen), found.take(held)
    flat = plain.of(plain.at[-1])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probe = LogisticRegression(max_iter=2000).fit(flat[seen], y[seen])
    neighbours = KNeighborsClassifier(min(5, np.bincount(y[seen]).min()), metric="cosine").fit(flat[seen], y[seen])
    answers = {
        "plain probe": 100 * float((probe.predict(flat[held]) == y[held]).mean()),
        "k-NN on codes": 100 * float((neighbours.predict(flat[held]) == y[held]).mean()),
    }
    advice = judge(part, data)
    chosen = best(advice.compared)
    answers["auto"] = accuracy(chosen.fitted.logits(chosen.choice.features(rest)), y[held])  # where it says linear, as it does for so few
    for strategy, kind in (("linear", "softmax"), ("svm", "hinge")):  # they look at the plain pictures only
        pair = best(compare(part.of_views("plain"), kind=kind))
        answers[strategy] = accuracy(pair.fitted.logits(pair.choice.features(rest.of_views("plain"))), y[held])
    for name, choice in {
        "top layer, means": Choice((found.at[-1],)),
        "top layer, means, not scaled": Choice((found.at[-1],), unit=False),
        "top layer, means and maxima": Choice((found.at[-1],), "both"),
    }.items():
        pair = next((p for p in advice.compared if p.choice == choice), None) or compare(part, choices=[choice])[0]
        answers[f"linear: {name}"] = accuracy(pair.fitted.logits(choice.features(rest)), y[held])
    return answers, advice.answer


def trained(net, weights, whole, seen, held, strategy, epochs, seed):
    """Return the accuracy of a strategy that trains a network, through the front door, on one resplit."""
    from striate.transfer import fine_tune

    table = whole.tables["train"]
    data = dataclasses.replace(whole, tables={"train": table.take(seen), "test": table.take(held)})
    with tempfile.TemporaryDirectory() as folder:
        edits = {"epochs": epochs} if epochs else {}
        source = {"weights": Path(weights) / FILES[net]} if strategy != "scratch" else {}
        run = fine_tune(net, data, strategy=strategy, folder=Path(folder) / "run", seed=seed, settings_of_recipe=edits, **source)
        return 100 * (1 - run.result["splits"]["test"]["error"])


def resplits(asked):
    from striate.data.splits import stratified

    result = Result(asked.name, f"Transfer to photographs: {asked.draws} resplits", told(asked))
    for net in asked.nets:
        whole, count, official = whole_of(asked.photos)
        found, plain, data = codes_of(net, asked.weights, whole)
        answers, words = {}, []
        for seed in range(asked.draws):
            seen, held = stratified(found.targets, len(found), count / len(found), seed)
            scores, word = on_codes(found, plain, data, seen, held)
            words.append(word)
            for strategy in asked.trained if seed < asked.train else ():
                scores[strategy] = trained(net, asked.weights, whole, seen, held, strategy, asked.epochs, seed)
            for name, score in scores.items():
                answers.setdefault(name, []).append(score)
            say(f"{net} resplit {seed + 1}/{asked.draws}: " + ", ".join(f"{name} {score:.1f}" for name, score in scores.items()))
        first = np.arange(len(found))
        scores, _ = on_codes(found, plain, data, first[:official], first[official:])
        for name, values in answers.items():
            result.row(f"{net}, {name}: accuracy", values, "%", by="mean")
        for name, values in answers.items():
            if name != "auto":
                differences = [a - b for a, b in zip(answers["auto"], values, strict=False)]
                mean, half = interval(differences)
                wide = interval(differences, count / (len(found) - count))[1]
                better = "auto is better" if mean > half else "auto is worse" if -mean > half else "no difference"
                beyond = ", and would be on other pictures" if abs(mean) > wide else "; on other pictures that is not sure"
                result.row(f"{net}, auto − {name}", differences, "points", by="mean")
                result.note(
                    f"{net}: auto − {name} = {mean:+.2f} ± {half:.2f} points (95 %, n = {len(values)}; ± {wide:.2f} where the splits' overlap is "
                    f"allowed for): {better}{beyond if better != 'no difference' else ''}."
                )
        result.note(f"{net}, once on the official held-out part: " + ", ".join(f"{name} {score:.1f} %" for name, score in scores.items()) + ".")
        result.raw[net] = {"answers": words, "official": scores}
    result.save()


def few(asked):
    from striate.classical import HOG
    from striate.core.runtime import generator

    result = Result("transfer-few", f"Ten labels a class, {asked.draws} draws", told(asked))
    import torch
    from sklearn.svm import LinearSVC

    for name in asked.sets:
        whole, _, _ = whole_of(asked.photos) if name == "photos" else cifar(asked.pool)
        hog_size = (64, 64) if name == "photos" else (32, 32)
        table = whole.tables["train"]
        small = np.stack([shrunk(table.store.picture(row), hog_size) for row in range(len(table))])
        flat = small.transpose(0, 3, 1, 2).reshape(len(small), -1) / 255.0
        hog = HOG(cell=8, image_shape=(3, *hog_size)).fit(flat).transform(flat)
        for net in asked.nets:
            found, plain, data = codes_of(net, asked.weights, whole)
            answers = {}
            for seed in range(asked.draws):
                order = torch.randperm(len(table), generator=generator(seed)).numpy()
                seen = np.sort(np.concatenate([order[found.targets[order] == label][:10] for label in range(len(whole.classes))]))
                held = np.setdiff1d(np.arange(len(table)), seen)
                scores, _ = on_codes(found, plain, data, seen, held)
                margin = LinearSVC(C=0.1, random_state=0).fit(hog[seen], found.targets[seen])
                scores["HOG + SVM"] = 100 * float((margin.predict(hog[held]) == found.targets[held]).mean())
                for strategy, score in scores.items():
                    answers.setdefault(strategy, []).append(score)
                say(f"{name} {net} draw {seed + 1}/{asked.draws}: " + ", ".join(f"{k} {v:.1f}" for k, v in scores.items()))
            for strategy, values in answers.items():
                result.row(f"{name}, {net}, {strategy}: accuracy", values, "%", by="mean")
            means = {strategy: statistics.mean(values) for strategy, values in answers.items() if strategy != "auto"}
            leader = max(means, key=means.get)
            gap = means[leader] - statistics.mean(answers["auto"])
            result.row(f"{name}, {net}: the best fixed strategy is ahead of auto by", [gap], "points", limit=1.0)
            result.note(f"{name}, {net}: the best fixed strategy is {leader}.")
            for strategy in ("k-NN on codes", "HOG + SVM", "plain probe"):
                behind = [b - a for a, b in zip(answers["auto"], answers[strategy], strict=True)]
                error = statistics.stdev(behind) / math.sqrt(len(behind)) if len(behind) > 1 else 0.0
                result.row(
                    f"{name}, {net}: auto behind {strategy}, in standard errors", [statistics.mean(behind) / max(error, 1e-9)], "SE", limit=1.0
                )
    result.save()


def cifar(count):
    """Return `count` CIFAR-10 pictures of each class, out of the test part: they serve as pool and as held-out part, never both in one draw."""
    from striate.data import load

    data = load("cifar10")
    table = data.tables["test"]
    rows = np.sort(np.concatenate([np.flatnonzero(table.targets == label)[:count] for label in range(10)]))
    return dataclasses.replace(data, tables={"train": table.take(rows)}), 0, 0


def shrunk(picture, size):
    from striate.pixels.scaling import resized, with_channels

    return with_channels(resized(picture, size), 3)


def command_job(who, asked, net, strategy, cache):
    """Return the job that times one `striate train`, from command to report."""
    words = ["--photos", str(asked.photos), "--weights", str(Path(asked.weights) / FILES[net]), "--model", net, "--strategy", strategy]
    return Job(who, PEERS / "striate_transfer.py", tuple(words), env={"STRIATE_CACHE": str(cache)})


def times(asked):
    """Time cold and cached commands and the naive loop, round by round."""
    root = Path(tempfile.mkdtemp(prefix="striate-transfer-"))
    number = iter(range(10**6))

    def jobs(_):
        yield ceilings_job(asked.ceilings)
        for net in asked.nets:
            for strategy in asked.strategies:
                cache = root / str(next(number))
                yield command_job(f"{net} {strategy} cold", asked, net, strategy, cache)
                if strategy == "linear":
                    yield command_job(f"{net} linear cached", asked, net, strategy, cache)
            words = [
                "--photos",
                str(asked.photos),
                "--weights",
                str(Path(asked.weights) / FILES[net]),
                "--model",
                net,
                "--epochs",
                str(asked.epochs or 10),
            ]
            yield Job(f"{net} naive loop", PEERS / "naive_transfer.py", tuple(words))

    try:
        answers = alternate(asked.rounds, jobs)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    result = Result("transfer-times", "Transfer to photographs: from command to report", told(asked))
    result.saw_ceilings(answers["ceilings"])
    for net in asked.nets:
        for strategy in asked.strategies:
            seconds = [answer["seconds"] for answer in answers[f"{net} {strategy} cold"]]
            result.row(f"{net}, {strategy}, everything cold", seconds, "s", limit=LIMITS.get((net, strategy)), scaled="convolution_bf16")
        if "linear" in asked.strategies:
            warm = [answer["seconds"] for answer in answers[f"{net} linear cached"]]
            result.row(f"{net}, linear, codes cached", warm, "s", limit=LIMITS["cached"], scaled="convolution_bf16")
            naive = [answer["seconds"] for answer in answers[f"{net} naive loop"]]
            cold = [answer["seconds"] for answer in answers[f"{net} linear cold"]]
            result.row(f"{net}, naive loop of {asked.epochs or 10} epochs", naive, "s")
            result.ratio(f"{net}: striate's linear, cold, is faster than the naive loop", naive, cold)
            result.ratio(f"{net}: striate's linear, cached, is faster than the naive loop", naive, warm, limit=10)
            ours = [100 * (1 - answer["error"]) for answer in answers[f"{net} linear cold"]]
            theirs = [100 * answer["accuracy"] for answer in answers[f"{net} naive loop"]]
            result.row(f"{net}, linear: accuracy on the official held-out part", ours, "%", by="mean")
            result.row(f"{net}, naive loop: accuracy on the official held-out part", theirs, "%", by="mean")
    result.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("resplits", "times", "few"))
    parser.add_argument("--photos", type=Path, default=os.environ.get("STRIATE_PHOTOS"), help="folder of labelled photographs (STRIATE_PHOTOS)")
    parser.add_argument("--weights", type=Path, default=os.environ.get("STRIATE_WEIGHTS"), help="folder of the weight files (STRIATE_WEIGHTS)")
    parser.add_argument("--nets", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--name", default="transfer-resplits", help="of the result's file (resplits)")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--train", type=int, default=0, help="resplits on which fine-tuning and training from scratch are tried too")
    parser.add_argument("--trained", nargs="+", default=["finetune", "scratch"], choices=("finetune", "scratch"), help="which of the two")
    parser.add_argument("--epochs", type=float, default=None, help="another length for them, and for the naive loop (10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strategies", nargs="+", default=["linear", "auto"], choices=("linear", "svm", "auto", "finetune"))
    parser.add_argument("--sets", nargs="+", default=["photos", "cifar10"], choices=("photos", "cifar10"))
    parser.add_argument("--pool", type=int, default=150, help="CIFAR-10 pictures of each class to draw from and to test on")
    parser.add_argument("--ceilings", type=float, default=0.3, help="seconds for each of the machine's ceilings")
    asked = parser.parse_args()
    if not asked.photos or not Path(asked.photos).is_dir():
        sys.exit("give --photos, a folder of labelled photographs, or set STRIATE_PHOTOS")
    if not asked.weights or not Path(asked.weights).is_dir():
        sys.exit("give --weights, the folder of the weight files, or set STRIATE_WEIGHTS")
    began = time.perf_counter()
    {"resplits": resplits, "times": times, "few": few}[asked.what](asked)
    say(f"{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
