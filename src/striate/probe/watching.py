"""Watching one run: forward hooks see modules, a function mode sees everything between them, a dispatch mode keeps values from being overwritten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from striate.probe.calls import tensors
from striate.probe.keeping import Keeper
from striate.probe.operations import operation, writes
from striate.probe.walking import modules_of


class Enough(BaseException):
    """All that was asked for has been seen, the rest of the forward pass need not run. No Exception: models that catch those let it pass."""


class Share:
    """What one in-place call sends back to the tensor it wrote; filled when the gradient passes."""

    def __init__(self) -> None:
        self.gradient: Tensor | None = None


Edge = GradientEdge | Share | None
"""Where in the graph a gradient will pass."""


@dataclass(eq=False)
class Entry:
    """A tensor going into a call: itself, its alias made for this call (or itself again), and how both stood before."""

    tensor: Tensor
    alias: Tensor
    version: int
    edge: GradientEdge | None
    alias_edge: GradientEdge | None

    @property
    def written(self) -> bool:
        """Whether the call wrote into it."""
        return _version(self.tensor) != self.version

    def passing(self) -> Edge:
        """Return where the gradient that this call alone sends back will pass."""
        if not self.written or self.edge is None:
            return self.alias_edge
        node = self.tensor.grad_fn  # the write put a new node behind the tensor; the old one follows it
        for place, (following, number) in enumerate(node.next_functions if node is not None else ()):
            if following is self.edge.node and number == self.edge.output_nr:
                return _share(node, place)
        return self.edge


def _share(node: Any, place: int) -> Share:
    share = Share()

    def passed(sent: tuple[Tensor | None, ...], _: Any) -> None:
        share.gradient = sent[place]

    node.register_hook(passed)
    return share


@dataclass(eq=False)
class Draft:
    """A call being watched: kept values and, when gradients are wanted, where in the graph they will pass."""

    address: str
    operation: str
    module: nn.Module | None
    function: Callable[..., Any] | None
    args: Any
    kwargs: Any
    turn: int
    in_place: bool = False
    output: Any = None
    entries: list[Entry] = field(default_factory=list)
    input_edges: list[Edge] = field(default_factory=list)
    output_edges: list[Edge] = field(default_factory=list)
    parameter_edges: dict[str, Edge] = field(default_factory=dict)
    inside: list[Draft] = field(default_factory=list)


@dataclass(eq=False)
class Frame:
    """A module being run."""

    module: nn.Module
    address: str
    turn: int
    draft: Draft | None
    calls: list[Draft] | None
    """Where functions called here are recorded; None where they are part of a leaf."""
    counts: Counter[str] = field(default_factory=Counter)
    leaf: bool = False
    aliases: dict[int, Tensor] = field(default_factory=dict)


class Watch(TorchFunctionMode):
    """Watches the modules of `model` while active; `gradients` also notes where messages and parameter gradients will pass.

    `only`: addresses to keep, with whatever turns they have; the others are passed by.
    """

    def __init__(self, model: nn.Module, *, gradients: bool, only: Collection[str] | None = None) -> None:
        super().__init__()
        self.model, self.gradients, self.only = model, gradients, only
        self.shares = gradients and only is None
        self.kept: Callable[[Draft], None] | None = None
        """Called after each call that is kept; may raise `Enough`."""
        self.live: Callable[[str, int, Any], Any] | None = None
        """Called with address, turn and the output itself, graph and all; what it returns goes on through the model. Nothing is kept then."""
        self.calls: list[Draft] = []
        self.blocks: list[Draft] = []
        self.keeper = Keeper()
        self.names = {id(module): name for name, module in model.named_modules()}
        self.parameters = {id(parameter): name for name, parameter in model.named_parameters()} if self.shares else {}
        self._turns: Counter[str] = Counter()
        self._frames = [Frame(model, "", 0, None, self.calls)]
        self._busy = self._enough = False
        self._running: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hook the modules and switch the modes on; take all of it off again, whatever happens. `Enough` ends the block quietly."""
        functions = self.only is None or any("#" in address for address in self.only)
        handles = []
        try:
            for module in _hookable(self.model):
                if functions or module is self.model or self.names[id(module)] in (self.only or ()):
                    handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
                    handles.append(module.register_forward_hook(self._after, with_kwargs=True, always_call=True))
            keeping = functions or self.live is None  # a live watch of modules keeps nothing, and every operator is quicker without the mode
            with self.keeper if keeping else nullcontext(), self if functions else nullcontext(), suppress(Enough):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        if module is self.model and self.live is not None:  # the next forward pass of a block of several
            self._turns.clear()
            self.calls.clear()
            self.blocks.clear()
            self._frames = [Frame(module, "", 0, None, self.calls)]
        address = self.names.get(id(module), "")
        turn = self._turns[address]
        self._turns[address] += 1
        outer = self._frames[-1]
        if outer.leaf and not self._asked(address):  # a part of a leaf: its own parts are not shown
            self._frames.append(Frame(module, address, turn, None, outer.calls, outer.counts, leaf=True, aliases=outer.aliases))
            return None
        if module is self.model and not is_leaf(module, root=True):
            self._frames.append(Frame(module, address, turn, None, self.calls))
            return None
        leaf = is_leaf(module, root=module is self.model)
        if self.only is not None and not self._asked(address):
            self._frames.append(Frame(module, address, turn, None, None if leaf and is_ours(module) else self.calls, leaf=leaf))
            return None
        with self._quiet():
            args, kwargs, entries = self._aliased(args, kwargs)
            kept_args, kept_kwargs = self._keep((args, kwargs))
            draft = Draft(address, type(module).__name__, module, None, kept_args, kept_kwargs, turn, entries=entries)
        (self.calls if leaf else self.blocks).append(draft)
        calls = self.calls if not leaf else None if is_ours(module) else draft.inside
        self._frames.append(Frame(module, address, turn, draft, calls, leaf=leaf))
        return args, kwargs

    def _after(self, module: nn.Module, _args: Any, _kwargs: Any, output: Any) -> Any:
        if self._enough:
            return None
        while (frame := self._frames.pop()).module is not module:  # an exception the model itself caught left these open
            pass
        if frame.draft is not None:
            with self._quiet():
                if self.live is not None:
                    return None if output is None else self.live(frame.address, frame.turn, output)
                self._finish(frame.draft, output)
                if frame.leaf:
                    own = {id(p): name for name, p in module.named_parameters()}
                    frame.draft.parameter_edges = {own[key]: edge(alias) for key, alias in frame.aliases.items() if key in own}
        return None

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = None if self._busy or self.keeper.inside else operation(func)
        frame = self._frames[-1]
        if name is None or (self.live is not None and len(self._frames) == 1):  # bookkeeping, or the objective after the model
            return func(*args, **kwargs)
        in_place = writes(func, kwargs, args)
        aliases = frame.aliases if frame.leaf else {}
        if self.shares and not in_place:
            args, kwargs = tree_map_only(nn.Parameter, lambda p: self._alias_of(p, aliases), (args, kwargs))
        if frame.calls is None:
            return func(*args, **kwargs)
        if self.only is not None and not self._asked(f"{frame.address}/{name}#{frame.counts[name] + 1}"):
            output = func(*args, **kwargs)
            frame.counts[name] += bool(tensors(output)) or name == "setitem"
            return output
        target = tensors((args, kwargs))[:1] if in_place else ()  # stays itself: it is to be written
        args, kwargs, entries = self._aliased(args, kwargs, but=(*aliases.values(), *target))
        kept_args, kept_kwargs = self._keep((args, kwargs))
        self._running = f"{frame.address}/{name}#{frame.counts[name] + 1}"
        output = func(*args, **kwargs)
        self._running = None
        if not tensors(output) and name != "setitem":
            return output
        frame.counts[name] += 1
        draft = Draft(f"{frame.address}/{name}#{frame.counts[name]}", name, None, func, kept_args, kept_kwargs, frame.turn, in_place, entries=entries)
        given = {id(entry.tensor) for entry in entries}
        draft.parameter_edges = {self.parameters[key]: edge(alias) for key, alias in aliases.items() if id(alias) in given}
        if self.live is not None:
            return self.live(draft.address, frame.turn, output)
        frame.calls.append(draft)
        self._finish(draft, args[0] if name == "setitem" else output)
        return output

    def _finish(self, draft: Draft, output: Any) -> None:
        draft.output = self.keeper.keep(output)
        if self.gradients:
            draft.output_edges = [edge(tensor) for tensor in tensors(output)]
            draft.input_edges = [entry.passing() for entry in draft.entries]
        draft.in_place = draft.in_place or any(entry.written for entry in draft.entries)
        draft.entries = []
        if self.kept is not None:
            try:
                self.kept(draft)
            except Enough:
                self._enough = True
                raise

    @property
    def current(self) -> tuple[str, int]:
        """Address and turn of the call that is running now."""
        frame = next((frame for frame in reversed(self._frames) if frame.draft is not None and frame.leaf), self._frames[-1])
        return (self._running if self._running and not frame.leaf else frame.address), frame.turn

    def _asked(self, address: str) -> bool:
        return self.only is not None and address in self.only

    def _keep(self, value: Any) -> Any:
        return (None, None) if self.live is not None else self.keeper.keep(value)

    def _aliased(self, args: Any, kwargs: Any, but: Iterable[Tensor] = ()) -> tuple[Any, Any, list[Entry]]:
        """Replace inputs that carry gradients by aliases of their own, so that what this call sends back can be told from the rest."""
        made: dict[int, Entry] = {}
        entries: list[Entry] = []
        already = {id(tensor) for tensor in but}

        def enter(tensor: Tensor) -> Tensor:
            if id(tensor) not in made:
                before = edge(tensor) if self.shares else None
                wanted = before is not None and not isinstance(tensor, nn.Parameter) and id(tensor) not in already
                other = torch.ops.aten.alias.default(tensor) if wanted else tensor
                made[id(tensor)] = Entry(tensor, other, _version(tensor), before, edge(other) if wanted else before)
            entries.append(made[id(tensor)])
            return made[id(tensor)].alias

        args, kwargs = tree_map_only(Tensor, enter, (args, kwargs))
        return args, kwargs, entries

    def _alias_of(self, parameter: nn.Parameter, aliases: dict[int, Tensor]) -> Tensor:
        if not parameter.requires_grad or id(parameter) not in self.parameters:
            return parameter
        if id(parameter) not in aliases:
            aliases[id(parameter)] = torch.ops.aten.alias.default(parameter)
        return aliases[id(parameter)]

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 - the way to know whether it is written


def edge(tensor: Tensor) -> GradientEdge | None:
    """Return where the gradient of `tensor`, as it is now, passes through the graph; None where none does."""
    return get_gradient_edge(tensor) if tensor.requires_grad and torch.is_grad_enabled() else None


def is_ours(module: nn.Module) -> bool:
    """Tell whether a module is one of torch's or striate's layers: what it does inside is its own affair."""
    return type(module).__module__.startswith(("torch.nn.", "striate.layers.", "torch.ao.nn."))


def is_leaf(module: nn.Module, *, root: bool = False) -> bool:
    """Tell whether a module is one box: it has no children, or is one of striate's layers. A root of the user's own is never one."""
    if type(module).__module__.startswith("striate.layers."):
        return True
    return next(module.children(), None) is None and (is_ours(module) or not root)


def scripted(model: nn.Module) -> tuple[nn.Module, ...]:
    """Return the outermost scripted or traced modules: torch lets no hook on them, so what they do is not seen."""
    found = [module for module in modules_of(model) if isinstance(module, torch.jit.ScriptModule)]
    inner = {id(part) for module in found for part in list(module.modules())[1:]}
    return tuple(module for module in found if id(module) not in inner)


def _hookable(model: nn.Module) -> Iterator[nn.Module]:
    closed = {id(part) for module in scripted(model) for part in module.modules()}
    return (module for module in modules_of(model) if id(module) not in closed)
