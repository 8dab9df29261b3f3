"""What a check found, as data, as a short table, as JSON, as pieces of a page; and each finding as a sentence that says what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from markupsafe import Markup

    from striate.data.dataset import Dataset

IMBALANCE = 3.0
"""How many times as many samples the largest class may have as the smallest before it is worth a warning."""
FEW = 10
"""A class with fewer training samples is worth a warning."""


@dataclass(frozen=True)
class Sample:
    """Where a sample is: its split and position, its file's name and its class where it has them."""

    split: str
    index: int
    name: str | None = None
    label: str | None = None

    def __str__(self) -> str:
        place = f"{self.split}/{self.name}" if self.name and not self.name.startswith(self.split) else self.name or f"{self.split}[{self.index}]"
        return place if self.label is None else f"{place} ({self.label})"


Three = tuple[float, float, float]
Sizes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class SplitFacts:
    """What one split holds.

    `n` samples; `counts` a class (None: unlabelled); `sizes`: smallest, median and largest (H W, by area), `distinct` of them; `aspect`
    (width / height) and `lengths` (words): smallest, median, largest; `channels`: how many pictures have so many.
    """

    n: int
    counts: list[int] | None
    sizes: Sizes | None = None
    distinct: int = 0
    aspect: Three | None = None
    channels: Mapping[int, int] = dataclasses.field(default_factory=dict)
    lengths: Three | None = None


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found.

    `duplicates`: groups of samples with equal content; `near`: pairs and their correlation, None when not looked for; `common`: how many pairs look
    alike but no more than much of the set does; `least`: the correlation asked for; `training`: the split that is learned from; `empty_folders`:
    those among the class folders that hold no picture.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitFacts]
    broken: tuple[Mapping[str, str], ...] = ()
    blank: tuple[Sample, ...] = ()
    duplicates: tuple[tuple[Sample, ...], ...] = ()
    near: tuple[tuple[Sample, Sample, float], ...] | None = None
    common: int = 0
    least: float = 0.98
    training: str = "train"
    notes: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def leaks(self) -> tuple[tuple[Sample, ...], ...]:
        """Groups of equal samples that lie in more than one split."""
        return tuple(group for group in self.duplicates if len({sample.split for sample in group}) > 1)

    @property
    def near_leaks(self) -> tuple[tuple[Sample, Sample, float], ...]:
        """Pairs of near duplicates across splits."""
        return tuple(pair for pair in self.near or () if pair[0].split != pair[1].split)

    @property
    def conflicts(self) -> tuple[tuple[Sample, ...], ...]:
        """Groups of equal samples with more than one class."""
        return tuple(group for group in self.duplicates if len({sample.label for sample in group if sample.label is not None}) > 1)

    @property
    def imbalance(self) -> float | None:
        """How many times as many training samples the largest class has as the smallest one that has any; None without labels."""
        present = [count for count in self.splits[self.training].counts or () if count]
        return max(present) / min(present) if present else None

    @property
    def class_weights(self) -> dict[str, float] | None:
        """Weights that make each class count the same in a loss; None without labels."""
        from striate.data.checks import class_weights

        counts = self.splits[self.training].counts
        return None if counts is None else dict(zip(self.classes, class_weights(counts), strict=True))

    @property
    def ok(self) -> bool:
        """Whether there is nothing to warn of."""
        return not self.warnings

    @property
    def warnings(self) -> list[str]:
        """Each thing found, the gravest first, in a sentence that says what to do."""
        return list(_warnings(self))

    def __str__(self) -> str:
        from striate.data.telling import as_text

        return as_text(self)

    def html(self, dataset: Dataset | None = None) -> list[Markup]:
        """Return pieces of a page; with the data set at hand they show the near duplicates too."""
        from striate.data.telling import as_html

        return as_html(self, dataset)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: what was found, and what follows from it."""
        values = dataclasses.asdict(self)
        values["near"] = None if self.near is None else [[dataclasses.asdict(a), dataclasses.asdict(b), round(like, 4)] for a, b, like in self.near]
        derived = {"ok": self.ok, "warnings": self.warnings, "imbalance": self.imbalance, "class_weights": self.class_weights}
        return {
            "format": 1,
            **_plain(values),
            **derived,
            "leaks": len(self.leaks),
            "near_leaks": len(self.near_leaks),
            "conflicts": len(self.conflicts),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CheckReport:
        """Rebuild a report from `to_json`'s output."""
        given = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name != "empty_folders"}
        given["empty_folders"] = tuple(values.get("empty_folders", ()))  # reports of earlier versions have none
        given["classes"], given["notes"], given["broken"] = tuple(given["classes"]), tuple(given["notes"]), tuple(given["broken"])
        given["splits"] = {name: _split_facts(facts) for name, facts in given["splits"].items()}
        given["blank"] = tuple(Sample(**sample) for sample in given["blank"])
        given["duplicates"] = tuple(tuple(Sample(**sample) for sample in group) for group in given["duplicates"])
        if given["near"] is not None:
            given["near"] = tuple((Sample(**a), Sample(**b), float(like)) for a, b, like in given["near"])
        return cls(**given)


def _split_facts(values: Mapping[str, Any]) -> SplitFacts:
    known = dict(values)
    known["channels"] = {int(kind): number for kind, number in known["channels"].items()}
    for name in ("aspect", "lengths"):
        known[name] = None if known[name] is None else tuple(known[name])
    known["sizes"] = None if known["sizes"] is None else tuple(tuple(size) for size in known["sizes"])
    return SplitFacts(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _warnings(report: CheckReport) -> Iterable[str]:
    one = "sentence" if report.kind == "text" else "picture"
    yield from _across(report, one)
    if report.conflicts:
        first = report.conflicts[0]
        yield (
            f"{_many(len(report.conflicts), one)} {_are(len(report.conflicts), 'carries', 'carry')} more than one class "
            f"(first: {first[0]} and {next(s for s in first if s.label != first[0].label)}). Decide which is right and remove the others."
        )
    if report.broken:
        first_broken = report.broken[0]
        yield (
            f"{_many(len(report.broken), 'file')} could not be read and {_are(len(report.broken), 'is', 'are')} left out "
            f"(first: {first_broken['path']}: {first_broken['reason']}). {first_broken['fix']}"
        )
    if report.empty_folders:
        count = len(report.empty_folders)
        yield (
            f"{_many(count, 'class folder')} {_are(count, 'holds', 'hold')} no picture and {_are(count, 'is', 'are')} no class: "
            f"{_listed(list(report.empty_folders))}. Put pictures in, or remove {_are(count, 'it', 'them')}."
        )
    for split in report.splits:
        spare = sum(n - 1 for group in report.duplicates if (n := sum(sample.split == split for sample in group)) > 1)
        if spare:
            yield f"{split} holds {_many(spare, 'superfluous copy', 'superfluous copies')} of its own {one}s. Keep one of each."
    differ = [pair for pair in report.near or () if None not in (pair[0].label, pair[1].label) and pair[0].label != pair[1].label]
    if differ:
        carry = f"{_many(len(differ), 'pair')} of near duplicates {_are(len(differ), 'carries', 'carry')} two classes"
        yield f"{carry} (first: {_pair(differ)}). Look which is right."
    if report.blank:
        what = "empty" if report.kind == "text" else "one flat colour"
        are = f"{_many(len(report.blank), one)} {_are(len(report.blank), 'is', 'are')} {what}"
        yield f"{are} (first: {report.blank[0]}). Remove {_are(len(report.blank), 'it', 'them')}: there is nothing to learn."
    yield from _counts(report, one)


def _across(report: CheckReport, one: str) -> Iterable[str]:
    """Leaks: what stands in a split that judges (validation, test) and in one that was learned or chosen from before it."""
    earlier = [report.training]
    for split in [name for name in report.splits if name != report.training]:
        groups = [group for group in report.leaks if any(s.split == split for s in group) and any(s.split in earlier for s in group)]
        exact = sum(sample.split == split for group in groups for sample in group)
        if exact:
            where = _and(name for name in earlier if any(sample.split == name for group in groups for sample in group))
            yield (
                f"{_many(exact, one)} of {split} {_are(exact, 'is', 'are')} also in {where}, {_same(report)}: "
                f"figures on {split} come out too good. Remove {_are(exact, 'it', 'them')} from {where}."
            )
        pairs = [pair for pair in report.near_leaks if split in (pair[0].split, pair[1].split) and {pair[0].split, pair[1].split} & set(earlier)]
        near = len({sample.index for pair in pairs for sample in pair[:2] if sample.split == split})
        if near:
            where = _and(name for name in earlier if any(name in (pair[0].split, pair[1].split) for pair in pairs))
            yield (
                f"{_many(near, one)} of {split} {_are(near, 'has', 'have')} a near duplicate in {where} (first: {_pair(pairs)}): "
                f"figures on {split} may come out too good. Look at {_are(near, 'it', 'them')} and keep each in one split."
            )
        earlier.append(split)


def _counts(report: CheckReport, one: str) -> Iterable[str]:
    for split, facts in report.splits.items():
        if facts.counts is None:
            if split == report.training:
                yield f"{split} has no labels: it can be predicted and looked at, not learned from as classes."
            continue
        missing = [name for name, count in zip(report.classes, facts.counts, strict=True) if not count]
        if missing and facts.n:
            follows = "they cannot be learned" if split == report.training else "their error cannot be measured"
            yield f"{split} has no {one} of {_listed(missing)}: {follows}. Add some or drop the class."
    counts = report.splits[report.training].counts or []
    few = [name for name, count in zip(report.classes, counts, strict=False) if 0 < count < FEW]
    if few:
        yield f"{report.training} has fewer than {FEW} {one}s of {_listed(few)}: add some, or expect little of {_are(len(few), 'it', 'them')}."
    ratio = report.imbalance
    if ratio is not None and ratio >= IMBALANCE:
        order = np.argsort(counts, kind="stable")
        least = next(int(place) for place in order if counts[int(place)])
        most = report.classes[int(order[-1])]
        yield (
            f"{report.training} has {ratio:.3g} times as many {one}s of {most} as of {report.classes[least]}: "
            "train with class weights (--set class_weights=true) and watch the error of each class."
        )


def _same(report: CheckReport) -> str:
    """How copies agree: files that differ may hold the same pixels, and words outside the vocabulary count as one."""
    return "with the same known words" if report.kind == "text" else "with the same pixels"


def _many(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _are(number: int, one: str, several: str) -> str:
    return one if number == 1 else several


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)


def _pair(pairs: list[tuple[Sample, Sample, float]]) -> str:
    return f"{pairs[0][0]} and {pairs[0][1]}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else ", ".join(names[:4]) + f" and {len(names) - 4:,} more"
