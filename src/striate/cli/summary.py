"""`striate summary`: what a network is before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.cli.registry import command


@command(
    "summary",
    help="Tell shapes, parameters, work and memory before a net is run.",
    section="Reference",
    options={
        "model": "A name of the zoo, a run's folder, package.module:factory, timm:NAME or torchvision:NAME.",
        "input": "One sample: channels x height x width, or a length for tokens. By default what the network was made for; 3x224x224 where a "
        "factory of your own, timm or torchvision names nothing else.",
        "classes": "Number of classes. By default what the network was made for; 1000 where a factory of your own, timm or torchvision names none.",
        "set_": "An option of the network as KEY=VALUE; may be repeated.",
        "batch": "Samples at a time: all figures are for so many.",
        "depth": "Fold blocks this many names deep. By default as deep as some 60 rows allow.",
        "strict": "Refuse strides that do not fit exactly.",
        "html": "Also write a page to this file.",
        "json": "Print JSON instead of a table.",
    },
    metavars={"input": "CxHxW", "set_": "KEY=VALUE", "html": "FILE"},
    complete={"model": "models", "html": "files"},
    examples=(
        "striate summary resnet18",
        "striate summary vgg16 --input 3x224x224 --html vgg16.html",
        "striate summary lenet5 --input 1x28x28 --classes 10 --set pool=average",
        "striate summary runs/digits-lenet5-1",
    ),
)
def summary(
    model: str,
    *,
    input: str | None = None,  # noqa: A002 - the field's word
    classes: int | None = None,
    set_: tuple[str, ...] = (),
    batch: int = 1,
    depth: int | None = None,
    strict: bool = False,
    html: Path | None = None,
    json: bool = False,
) -> None:
    """Find the network first (fast, without torch), then measure it without values."""
    from striate.cli.output import console, print_json, say, shown_path
    from striate.cli.shapes import channels_first
    from striate.core.errors import ArgumentError

    if depth is not None and depth < 1:
        raise ArgumentError(f"--depth: got {depth}, expected 1 or more")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--html {html}: expected a file that ends in .html")
    shape = None if input is None else channels_first(input)
    asked = _Asked.read(model, shape, classes, set_)

    from striate.measure import summary as measure

    found = measure(asked.factory(), asked.input, batch=batch, strict=strict)
    if html is not None:
        found.save(html)
    if json:
        print_json(found.to_json() | {"page": None if html is None else str(html)})
        return
    out = console()
    lines = found.text(depth=depth, width=out.width if out.is_terminal else None).splitlines()
    head = lines.index("", lines.index("") + 1) if lines.count("") > 1 else len(lines)
    for number, line in enumerate(lines):
        say(line, style="bold" if number == 0 else "cyan" if number == 2 and head > 2 else "yellow" if line.startswith("! ") else "")
    if html is not None:
        say()
        say(f"page  {shown_path(html)}")


class _Asked:
    """Which network to build, and for which input."""

    def __init__(self, name: str, classes: int, shape: tuple[int, ...], options: Mapping[str, Any]) -> None:
        self.name, self.classes, self.input, self.options = name, classes, shape, options

    @classmethod
    def read(cls, model: str, shape: tuple[int, ...] | None, classes: int | None, assignments: tuple[str, ...]) -> _Asked:
        """Check the words: torch is not imported for a name that does not exist."""
        from striate.cli.choose import run_folder
        from striate.core.errors import ArgumentError, UnknownNameError
        from striate.zoo.registry import architectures

        if ":" in model:
            from striate.zoo.outside import check_name, made_for, options

            check_name(model)
            given = options(assignments)
            own_classes, own_shape = (None, None) if classes is not None and shape is not None else made_for(model)
            count = classes if classes is not None else own_classes or 1000
            return cls(model, count, shape or own_shape or (3, 224, 224), given)
        if model in architectures:
            return cls(model, *_made_for(model, shape, classes), _options(model, assignments))
        if "/" in model or Path(model).is_dir() or (Path("runs") / model).is_dir():
            spec = _spec(run_folder(model))
            if assignments:
                raise ArgumentError(f"--set: {model} is a run, its network is built already; name the architecture instead: {spec['name']}")
            chosen = tuple(spec["input"]) if shape is None else shape
            return cls(spec["name"], spec["classes"] if classes is None else classes, chosen, spec["options"])
        try:
            architectures.entry(model)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error} A run is named by its folder, a network of your own by package.module:factory") from None
        raise AssertionError(model)

    def factory(self) -> Any:
        """Return a function that builds it."""
        from striate import zoo

        return lambda: zoo.build(self.name, classes=self.classes, input=self.input, options=self.options)


def _made_for(model: str, shape: tuple[int, ...] | None, classes: int | None) -> tuple[int, tuple[int, ...]]:
    if shape is not None and classes is not None:
        return classes, shape
    from striate.zoo import card

    made = card(model)
    return made.classes if classes is None else classes, made.input if shape is None else shape


def _options(model: str, assignments: tuple[str, ...]) -> dict[str, Any]:
    from striate.core.errors import ArgumentError
    from striate.core.signature import Signature
    from striate.zoo.registry import architectures

    signature = architectures.entry(model).signature
    allowed = Signature(tuple(p for p in signature.parameters if p.keyword_only))
    try:
        return allowed.parse(assignments)
    except ArgumentError as error:
        told = str(error) if allowed.names else f"{model} has no options"
        raise type(error)(told if told.startswith("--set") else f"--set: {told}") from None


def _spec(folder: Path) -> Mapping[str, Any]:
    from striate.core.errors import ArgumentError
    from striate.core.storage import read_json

    spec: Mapping[str, Any] = read_json(folder / "run.json")["model"]
    if spec.get("foreign"):
        raise ArgumentError(f"{folder}: its network {spec['name']} was not built by the zoo; name its factory: package.module:factory")
    return spec
