"""The hard models, each written twice: as a torch module in the way that trips explainers, and as the same network by hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from striate.core.runtime import generator
from striate.probe.conformance.explicit import Array, Explicit, Node, Rule

TARGET = 1
"""The class whose logit is explained."""


class Small(nn.Module):
    """Two convolutions and a linear layer on 2 x 7 x 7; what lies between is the case's own."""

    raises = False
    """Whether explaining it must raise, and leave the model as it was."""

    def __init__(self, middle: int = 3, last: int = 3, side: int = 7) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(middle, 3, 3, padding=1)
        self.fc = nn.Linear(last * side * side, 4)

    def middle(self, x: Tensor) -> Tensor:
        """From the input to the last maps."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return N x 4 logits."""
        logits: Tensor = self.fc(self.middle(x).flatten(1))
        return logits

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The chain most cases are: convolution, ReLU, convolution, ReLU, linear."""
        x = net.relu(net.conv(x, self.conv1.weight, self.conv1.bias, 1))
        return self.end_by_hand(net, net.relu(net.conv(x, self.conv2.weight, self.conv2.bias, 1)))

    def end_by_hand(self, net: Explicit, x: Node) -> Node:
        """The classifier."""
        return net.linear(x, self.fc.weight, self.fc.bias)


class Modules(Small):
    """Each ReLU a module of its own: the case everyone gets right."""

    def __init__(self) -> None:
        super().__init__()
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        found: Tensor = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        return found


class Functional(Small):
    """No ReLU module at all."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        return torch.relu(self.conv2(F.relu(self.conv1(x))))


class Method(Small):
    """ReLU as a method of the tensor."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        found: Tensor = self.conv2(self.conv1(x).relu()).relu()
        return found


class InPlaceModule(Small):
    """ReLU modules that write into their input."""

    def __init__(self) -> None:
        super().__init__()
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        x = self.conv1(x)
        self.relu1(x)  # the returned value is not even used
        x = self.conv2(x)
        self.relu2(x)
        return x


class InPlaceFunctional(Small):
    """`relu_` and `F.relu(inplace=True)`."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        return F.relu(self.conv2(self.conv1(x).relu_()), inplace=True)


class Reused(Small):
    """One ReLU module called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        found: Tensor = self.relu(self.conv2(self.relu(self.conv1(x))))
        return found


class Residual(Small):
    """`+=` onto a branch, ReLU after the sum, as in ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        x = self.relu(self.conv1(x))
        y = self.conv2(x)
        y += x
        found: Tensor = self.relu(y)
        return found

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The same."""
        x = net.relu(net.conv(x, self.conv1.weight, self.conv1.bias, 1))
        return self.end_by_hand(net, net.relu(net.add(net.conv(x, self.conv2.weight, self.conv2.bias, 1), x)))


class Dense(Small):
    """Concatenation by function, ReLU before each convolution, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__(last=6)

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        x = self.conv1(x)
        return F.relu(torch.cat([x, self.conv2(F.relu(x))], 1))

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The same."""
        x = net.conv(x, self.conv1.weight, self.conv1.bias, 1)
        y = net.conv(net.relu(x), self.conv2.weight, self.conv2.bias, 1)
        return self.end_by_hand(net, net.relu(net.concat(x, y)))


class OverlappingPool(Small):
    """3 x 3 windows every 2 cells, one as a module, one by function and padded: neighbours choose the same cell."""

    def __init__(self) -> None:
        super().__init__(side=2)
        self.pool = nn.MaxPool2d(3, 2)

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        return F.max_pool2d(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))), 3, 2, 1)

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The same."""
        x = net.max_pool(net.relu(net.conv(x, self.conv1.weight, self.conv1.bias, 1)), 3, 2)
        return self.end_by_hand(net, net.max_pool(net.relu(net.conv(x, self.conv2.weight, self.conv2.bias, 1)), 3, 2, 1))


class Clamped(Small):
    """ReLU by another name."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        x = torch.clamp(self.conv1(x), min=0)
        return torch.maximum(self.conv2(x), torch.zeros(()))


class Leaky(Small):
    """Leaky ReLU, which lets a tenth through."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        return F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.1)), 0.1)

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The same."""
        x = net.relu(net.conv(x, self.conv1.weight, self.conv1.bias, 1), 0.1)
        return self.end_by_hand(net, net.relu(net.conv(x, self.conv2.weight, self.conv2.bias, 1), 0.1))


class PartInPlace(Small):
    """`relu_` on a slice: only the first two channels are rectified."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        x = self.conv1(x)
        x[:, :2].relu_()
        return F.relu(self.conv2(x))

    def by_hand(self, net: Explicit, x: Node) -> Node:
        """The same."""
        x = net.conv(x, self.conv1.weight, self.conv1.bias, 1)
        x = net.concat(net.relu(net.channels(x, 0, 2)), net.channels(x, 2, 3))
        return self.end_by_hand(net, net.relu(net.conv(x, self.conv2.weight, self.conv2.bias, 1)))


class Checkpointed(Small):
    """The middle is run again during the backward pass."""

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps."""
        found: Tensor = checkpoint(lambda given: F.relu(self.conv2(F.relu(self.conv1(given)))), x, use_reentrant=False)
        return found


class RaisesForward(Modules):
    """An error in the middle of the forward pass."""

    raises = True

    def middle(self, x: Tensor) -> Tensor:
        """Raise after the first layer ran."""
        self.relu1(self.conv1(x))
        raise RuntimeError("injected in the forward pass")


class RaisesBackward(Modules):
    """An error in the middle of the backward pass."""

    raises = True

    def middle(self, x: Tensor) -> Tensor:
        """Return the last maps, with a trap in the graph."""
        trapped: Tensor = _Trap.apply(self.relu1(self.conv1(x)))  # type: ignore[no-untyped-call]
        found: Tensor = self.relu2(self.conv2(trapped))
        return found


class _Trap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        return x.clone()

    @staticmethod
    def backward(ctx: object, message: Tensor) -> Tensor:  # noqa: ARG004
        raise RuntimeError("injected in the backward pass")


@dataclass(frozen=True)
class Case:
    """One hard model: `model()` builds it, float64 and seeded, `x()` is its input, `answer(rule)` what must come back to the input."""

    name: str
    help: str
    build: type[Small]

    @property
    def raises(self) -> bool:
        """Whether explaining it must raise and leave the model as it was."""
        return self.build.raises

    def model(self) -> Small:
        """Return the model, always the same one, in eval mode."""
        model = self.build().double().eval()
        draw = generator(7)
        for parameter in model.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=draw, dtype=torch.float64) * 0.4)
        return model

    def x(self) -> Tensor:
        """Return two samples, N C H W = 2 x 2 x 7 x 7, float64."""
        return torch.randn(2, 2, 7, 7, generator=generator(8), dtype=torch.float64)

    def answer(self, rule: Rule) -> Array:
        """Return what `rule` sends back to the input from logit `TARGET`, worked out by hand."""
        return _answer(self, rule).copy()


@cache
def _answer(case: Case, rule: Rule) -> Array:
    net, model = Explicit(rule), case.model()
    given = net.node(case.x().numpy())
    net.send(model.by_hand(net, given), TARGET)
    return given.message


def _case(name: str, kind: type[Small]) -> Case:
    return Case(name, (kind.__doc__ or "").strip(), kind)


CASES: tuple[Case, ...] = (
    _case("modules", Modules),
    _case("functional", Functional),
    _case("method", Method),
    _case("in-place module", InPlaceModule),
    _case("in-place functional", InPlaceFunctional),
    _case("reused", Reused),
    _case("residual", Residual),
    _case("dense", Dense),
    _case("overlapping pool", OverlappingPool),
    _case("clamped", Clamped),
    _case("leaky", Leaky),
    _case("part in place", PartInPlace),
    _case("checkpointed", Checkpointed),
    _case("raises in forward", RaisesForward),
    _case("raises in backward", RaisesBackward),
)
"""Every case, easy ones first."""
