"""One pass against many: the scores of a convolutional form beside those of the network slid over the picture, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.surgery.following import Shapes, copied, followed, module_of

PADDING = (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d)


@dataclass(frozen=True)
class Agreement:
    """How far one pass over larger pictures is from sliding: the deviation relative to the largest score, and whether the network pads."""

    deviation: float
    typical: float
    """Median over all scores, relative to the largest."""
    same_class: float
    """Share of windows whose likeliest class is the same, 0 to 1."""
    windows: tuple[int, int]
    stride: int
    padded: tuple[str, ...]
    """Modules with padding; empty where one pass and sliding must agree."""

    def __str__(self) -> str:
        """Say it in one line."""
        rows, columns = self.windows
        why = f"{len(self.padded)} layers pad ({self.padded[0]} first), so windows see their surroundings" if self.padded else "nothing is padded"
        return (
            f"{rows}x{columns} windows at stride {self.stride}: largest deviation {self.deviation:.1e} of the largest score, "
            f"median {self.typical:.1e}, same class in {self.same_class:.0%}; {why}"
        )


def total_stride(model: nn.Module, input: tuple[int, int, int]) -> int:  # noqa: A002 - the field's word
    """Return how many pixels lie between neighbouring scores of a convolutional form: the product of strides on the way.

    Raises `ArgumentError` for strides that differ between height and width, or between branches.
    """
    graph = followed(model, "multiply its strides")
    shapes = Shapes(model, graph, input).found
    steps: dict[str, int] = {}
    for node in graph.nodes:
        before = {steps[arg.name] for arg in node.all_input_nodes if arg.name in steps}
        if len(before) > 1:
            raise ArgumentError(f"model: branches of strides {sorted(before)} meet in {node.name}")
        module = module_of(model, node)
        own = 1
        if module is not None and hasattr(module, "stride"):
            told: Any = module.stride
            stride = told if isinstance(told, tuple) else (told, told)
            if stride[0] != stride[1]:
                raise ArgumentError(f"model: {node.target} has strides {stride}; sliding needs equal ones")
            own = int(stride[0])
        elif node.op == "call_function" and "pool" in getattr(node.target, "__name__", "") and node.name in shapes:
            wide = shapes[node.all_input_nodes[0].name][-1]
            own = max(1, round(wide / shapes[node.name][-1]))
        if node.op == "placeholder" or before:
            steps[node.name] = max(before, default=1) * own
    return steps[next(node for node in graph.nodes if node.op == "output").all_input_nodes[0].name]


def slide(model: nn.Module, images: Tensor, size: tuple[int, int], stride: int, *, batch: int = 64) -> Tensor:
    """Return N K H' W': the model's scores for every window of `size` (height, width) at steps of `stride`, each cut out and run by itself."""
    if images.dim() != 4 or images.shape[2] < size[0] or images.shape[3] < size[1]:
        raise ArgumentError(f"images: got shape {tuple(images.shape)}, expected N C H W of at least {size[0]}x{size[1]}")
    windows = images.unfold(2, size[0], stride).unfold(3, size[1], stride).permute(0, 2, 3, 1, 4, 5)
    count, rows, columns = windows.shape[:3]
    crops = windows.reshape(-1, images.shape[1], *size)
    with torch.no_grad():
        scores = torch.cat([model(part) for part in torch.split(crops, batch)])
    return scores.flatten(1).view(count, rows, columns, -1).permute(0, 3, 1, 2)


def compare_with_sliding(model: nn.Module, convolutional: nn.Module, images: Tensor, size: tuple[int, int]) -> Agreement:
    """Run `convolutional` once over `images` (N C H W, larger than `size`) and slide `model` over them; `print` the result to see the deviation.

    Both must be in evaluation mode. Raises `ArgumentError` where the two have no window in common.
    """
    inner, dense = copied(model).eval(), copied(convolutional).eval()
    stride = total_stride(dense, (images.shape[1], *size))
    slid = slide(inner, images, size, stride)
    with torch.no_grad():
        once = dense(images)
    rows, columns = (min(a, b) for a, b in zip(slid.shape[2:], once.shape[2:], strict=True))
    if not rows * columns:
        raise ArgumentError(f"images: {tuple(images.shape[2:])} leave no window of {size}")
    slid, once = slid[..., :rows, :columns], once[..., :rows, :columns]
    apart = (once - slid).abs() / slid.abs().max().clamp(min=torch.finfo(slid.dtype).tiny)
    same = (once.argmax(1) == slid.argmax(1)).double().mean().item()
    return Agreement(apart.max().item(), apart.median().item(), same, (rows, columns), stride, _padded(dense))


def _padded(model: nn.Module) -> tuple[str, ...]:
    """Return the modules that pad, in order."""
    found = []
    for path, module in model.named_modules():
        padding = getattr(module, "padding", 0)
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        pads = isinstance(module, kinds) and (padding == "same" or any(padding if isinstance(padding, tuple) else (padding,)))
        if pads or isinstance(module, PADDING) or getattr(module, "ceil_mode", False):
            found.append(path)
    return tuple(found)
