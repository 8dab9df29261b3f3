"""A small network written in one line: `conv(1, 3x3, stride=2) -> relu -> maxpool(2)`. Parsed and checked without torch, then built.

    network := box ("->" box)*
    box     := [name ":"] word ["(" [setting ("," setting)*] ")"]
    setting := [key "="] value        # positional ones first, as in Python
    value   := 3 | 0.1 | 3x3 | same | yes | no

A box is called `name`, or its word and a count: `conv1`, `conv2`. `a -> b` may also be written `a → b`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.core.signature import Signature
from striate.tracing.registry import OTHER_SPELLINGS, Shape, words

if TYPE_CHECKING:
    from torch import nn

_TOKEN = re.compile(
    r"(?P<arrow>->|→|=>)|(?P<size>\d+(?:x\d+)+(?!\w))|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?!\w))|(?P<word>[A-Za-z_]\w*)|(?P<mark>[(),=:])"
)
TAKEN = {"loss": "the loss's own box", "input": "the network's input"}
"""Names that a box cannot have, and what they mean in a trace."""
_YES_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class SpecError(ArgumentError):
    """A spec that cannot be read or built; the text shows the place."""


@dataclass(frozen=True)
class Step:
    """One box of a spec: its name, its word and how it was written, its settings (checked), and where it stands in the text."""

    name: str
    word: str
    spelling: str
    settings: dict[str, Any]
    start: int
    end: int


def parse(spec: str) -> tuple[Step, ...]:
    """Read a spec; words and settings are checked against what exists. Raises `SpecError` with a mark under the place."""
    return _Reader(spec).network()


def build(spec: str, shape: Sequence[int]) -> nn.Sequential:
    """Build the network of a spec for one sample of `shape`, with float64 numbers; weights are torch's fresh ones.

    Every box is tried on the shape it gets; one that does not fit raises `SpecError` naming the place.
    """
    from collections import OrderedDict

    import torch
    from torch import nn

    boxes: OrderedDict[str, nn.Module] = OrderedDict()
    now: Shape = tuple(shape)
    for step in parse(spec):
        try:
            box: nn.Module = words.get(step.word)(now, **step.settings).double().eval()
            with torch.no_grad():
                now = tuple(box(torch.zeros(1, *now, dtype=torch.float64)).shape[1:])
        except StriateError as error:
            raise SpecError(_told(spec, step.start, step.end, str(error))) from None
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise SpecError(_told(spec, step.start, step.end, f"{step.name} does not fit {_shape(now)}, which it is given ({reason})")) from None
        if not all(now):
            raise SpecError(_told(spec, step.start, step.end, f"{step.name} leaves nothing over: its output is {_shape(now)}"))
        boxes[step.name] = box
    return nn.Sequential(boxes)


def is_spec(what: str) -> bool:
    """Say whether a text is a spec rather than a name or a path."""
    head = re.match(r"\s*(?:\w+\s*:)?\s*([A-Za-z_]\w*)\s*(.*)", what, flags=re.DOTALL)
    if head is None:
        return "->" in what or "→" in what or "(" in what
    known = head[1].lower() in words or head[1].lower() in OTHER_SPELLINGS
    return "->" in what or "→" in what or head[2].startswith("(") or (known and not head[2])


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers"


def _told(spec: str, start: int, end: int, reason: str) -> str:
    """The complaint, the spec, and a mark under the place; long specs show the part around it."""
    line = spec.replace("\n", " ").replace("\t", " ")
    left = max(0, start - 50)
    shown, place = line[left : left + 100], start - left
    before = "…" if left else ""
    marks = " " * (place + len(before)) + "^" * max(1, min(end, left + 100) - start)
    return f"spec, column {start + 1}: {reason}\n  {before}{shown}\n  {marks}"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Reader:
    """Reads tokens left to right; every complaint knows its column."""

    def __init__(self, spec: str) -> None:
        self.spec, self.place = spec, 0
        self.tokens = self._tokens()
        self.counts: dict[str, int] = {}

    def network(self) -> tuple[Step, ...]:
        if self.tokens[0].kind == "end":
            raise self.wrong(self.tokens[0], "the spec is empty; write for example conv(1, 3x3) -> relu -> maxpool(2)")
        steps = [self.box()]
        while self.now.kind != "end":
            if self.now.kind != "arrow":
                raise self.wrong(self.now, f"expected -> before {self.now.text!r}")
            self.next()
            steps.append(self.box())
        seen: dict[str, Step] = {}
        for step in steps:
            if step.name in TAKEN:
                raise SpecError(
                    _told(self.spec, step.start, step.end, f"a box called {step.name!r}, which means {TAKEN[step.name]}; give it another name")
                )
            if step.name in seen:
                raise SpecError(_told(self.spec, step.start, step.end, f"a second box called {step.name!r}; give it another name"))
            seen[step.name] = step
        return tuple(steps)

    def box(self) -> Step:
        first = self.next()
        if first.kind != "word":
            raise self.wrong(first, "expected a box such as conv(1, 3x3)" + (f", got {first.text!r}" if first.text else " after the arrow"))
        label = None
        if self.now.text == ":":
            self.next()
            label, first = first.text, self.next()
            if first.kind != "word":
                raise self.wrong(first, f"expected a box after {label}:, such as {label}: conv(1, 3x3)")
        lowered = first.text.lower().replace("_", "")
        word = OTHER_SPELLINGS.get(lowered, lowered)
        if word not in words:
            raise self.wrong(first, str(unknown_name("box", first.text, [*words.names(), *OTHER_SPELLINGS])))
        settings, end = self.settings(word, first) if self.now.text == "(" else ({}, first.end)
        signature = _signature(word)
        missing = [p.name for p in signature.parameters if p.required and p.name not in settings]
        if missing:
            example = ", ".join(f"{p.name}=…" for p in signature.parameters if p.required)
            raise SpecError(_told(self.spec, first.start, end, f"{first.text} needs {' and '.join(missing)}: {first.text}({example})"))
        self.counts[word] = self.counts.get(word, 0) + 1
        return Step(label or f"{word}{self.counts[word]}", word, lowered, settings, first.start, end)

    def settings(self, word: str, head: _Token) -> tuple[dict[str, Any], int]:
        signature = _signature(word)
        found: dict[str, Any] = {}
        opened = self.next()
        while self.now.text != ")":
            if self.now.kind == "end":
                raise self.wrong(opened, "this bracket is never closed")
            begin = self.now
            name = self.key(signature, head, found)
            if name in found:
                raise self.wrong(begin, f"{name} is given twice")
            value = self.next()
            read = self.value(value)
            try:
                found[name] = signature[name].check(read)
            except ArgumentError as error:
                raise self.wrong(value, str(error)) from None
            if self.now.text == ",":
                self.next()
            elif self.now.kind != "end" and self.now.text != ")":
                raise self.wrong(self.now, f"expected , or ) before {self.now.text!r}")
        return found, self.next().end

    def key(self, signature: Signature, head: _Token, found: dict[str, Any]) -> str:
        """The setting that the next value is for: the one named before `=`, else the next one in order."""
        begin = self.now
        if begin.kind == "word" and self.tokens[self.place + 1].text == "=":
            self.place += 2
            if begin.text not in signature.names:
                raise self.wrong(begin, str(unknown_name(f"setting of {head.text}", begin.text, signature.names)))
            return begin.text
        in_order = [parameter.name for parameter in signature.parameters if not parameter.keyword_only]
        if list(found) != in_order[: len(found)]:
            raise self.wrong(begin, "a setting without a name cannot follow one with a name")
        if len(found) == len(in_order):
            named = [f"{parameter.name}=" for parameter in signature.parameters if parameter.keyword_only]
            rest = f"; {' and '.join(named)} must be named" if named else ""
            raise self.wrong(begin, f"{head.text} takes {', '.join(in_order) or 'no settings'}{rest}")
        return in_order[len(found)]

    def value(self, token: _Token) -> Any:
        if token.kind == "size":
            return tuple(int(part) for part in token.text.split("x"))
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else float(token.text)
        if token.kind == "word":
            return _YES_NO.get(token.text.lower(), token.text)
        raise self.wrong(token, f"expected a value such as 3, 0.1, 3x3, same or yes{f', got {token.text!r}' if token.text else ''}")

    @property
    def now(self) -> _Token:
        return self.tokens[self.place]

    def next(self) -> _Token:
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def wrong(self, token: _Token, reason: str) -> SpecError:
        return SpecError(_told(self.spec, token.start, token.end, reason))

    def _tokens(self) -> list[_Token]:
        found, place = [], 0
        while place < len(self.spec):
            if self.spec[place].isspace():
                place += 1
                continue
            match = _TOKEN.match(self.spec, place)
            if match is None:
                raise SpecError(_told(self.spec, place, place + 1, f"cannot read {self.spec[place]!r} here"))
            found.append(_Token(str(match.lastgroup), match.group(), place))
            place = match.end()
        return [*found, _Token("end", "", len(self.spec))]


def _signature(word: str) -> Signature:
    return Signature(words.entry(word).signature.parameters[1:])
