"""`striate trace`: every number of a small network, forward and back, with the terms that made it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.tracing import Explained, Trace


@command(
    "trace",
    help="Show every number of a small network, forward and back.",
    section="Reference",
    options={
        "spec": "A network in a line, 'conv(1, 3x3, stride=2) -> relu -> maxpool(2)'; a JSON file that holds one; a run; an architecture.",
        "input": "The input: a JSON, CSV or picture file, or a size such as 3x5x5 for small numbers drawn at random.",
        "target": "The right class; with it the loss is cross-entropy, without it the sum of the output.",
        "loss": "Which loss, where the target alone does not say it.",
        "explain": "One number and its terms: conv1:0,0,1, conv1:input:0,2,2 or conv1:weight:0,0,1,1; may be repeated.",
        "at": "Only this box or block; a large network needs it. May be repeated.",
        "sample": "Which sample of a batch --explain means.",
        "train": "Run in training mode: the batch's own statistics, dropout drops.",
        "seed": "Seed of what is drawn.",
        "html": "Also write the page that steps through the boxes.",
        "json": "Print JSON instead of text.",
    },
    metavars={"spec": "SPEC", "input": "FILE|SIZE", "explain": "BOX:PLACE", "at": "BOX", "html": "FILE"},
    complete={"spec": "files", "input": "files", "html": "files"},
    examples=(
        "striate trace docs/examples/trace/volume.json",
        "striate trace docs/examples/trace/volume.json --explain conv1:0,0,1",
        "striate trace 'conv(2, 3x3) -> relu -> maxpool(2)' --input 1x6x6 --html t.html",
        "striate trace runs/digits-lenet5-1 --input three.png --target 3 --html three.html",
        "striate trace resnet18 --input dog.jpg --explain layer1.0.conv1:0,5,5",
    ),
    torch=True,
)
def trace(
    spec: str,
    *,
    input: str | None = None,  # noqa: A002 - the field's word
    target: int | None = None,
    loss: Literal["cross_entropy", "log_loss", "hinge", "squared_error", "sum"] | None = None,
    explain: tuple[str, ...] = (),
    at: tuple[str, ...] = (),
    sample: int = 0,
    train: bool = False,
    seed: int = 0,
    html: Path | None = None,
    json: bool = False,
) -> None:
    """Read spec and places first (fast, without torch), then trace."""
    from striate.cli.output import aside, print_json, say, shown_path
    from striate.core.arguments import whole_number
    from striate.core.errors import ArgumentError
    from striate.tracing.spec import is_spec, parse

    whole_number("--seed", seed, least=0)
    asked = [_place(text) for text in explain]
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--html {html}: expected a file that ends in .html")
    if is_spec(spec) and not spec.lower().endswith(".json"):
        parse(spec)

    from striate.tracing.opening import opened

    boxes = tuple(dict.fromkeys((*at, *(name for name, _, _ in asked)))) if at or (asked and html is None and not is_spec(spec)) else ()
    wanted = tuple(name for name in boxes if name != "loss")
    found = opened(spec, input, target=target, loss=loss, train=train, seed=seed, at=wanted or None)
    told = [_explained(found, box, which, place, sample) for box, which, place in asked]
    if html is not None:
        found.save(html)
    if json:
        print_json([each.to_json() for each in told] if asked else found.to_json())
    elif asked:
        say("\n\n".join(str(each) for each in told))
        aside(found.verdict)
    else:
        say(str(found))
    if html is not None:
        aside(shown_path(html))


def _place(text: str) -> tuple[str, str, tuple[int, ...]]:
    """`conv1:0,0,1` -> (conv1, out, (0, 0, 1)); `conv1:weight:0,0,1,1` -> (conv1, weight, ...)."""
    from striate.core.errors import ArgumentError

    box, _, rest = text.partition(":")
    which, separator, place = rest.rpartition(":")
    which = which if separator else "out"
    if not box or ":" not in text or not re.fullmatch(r"\s*(\d+\s*(,\s*\d+\s*)*)?", place):
        raise ArgumentError(
            f"--explain {text!r}: expected BOX:PLACE such as conv1:0,0,1, conv1:input:0,2,2 or conv1:weight:0,0,1,1; places are counted from 0"
        )
    return box, which.strip(), tuple(int(number) for number in place.split(",") if number.strip())


def _explained(found: Trace, box: str, which: str, place: tuple[int, ...], sample: int) -> Explained:
    options: dict[str, Any] = {"sample": sample}
    branch = re.fullmatch(r"input(\d*)", which)
    if which in ("out", "output"):
        options["out"] = place
    elif branch:
        options |= {"input": place, "branch": int(branch[1] or 0)}
    else:
        options["gradient"] = (which, place)
    return found.explain(box, **options)
