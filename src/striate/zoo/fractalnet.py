"""FractalNet. Larsson, Maire, Shakhnarovich: FractalNet: ultra-deep neural networks without residuals, 2017.

    f_1(z) = conv(z)        f_{C+1}(z) = join((f_C . f_C)(z), conv(z))        conv: 3x3, batch norm, ReLU

unfolded: a block of C columns, column k a chain of 2^(k-1) convolutions, and a join (the mean) wherever several columns end at one height. For C = 3:

    column1   column2   column3           block    output   filters   dropout
                        conv              block1   32       64        0
              conv      conv  join of 2   block2   16       128       0.1
                        conv              block3   8        256       0.2
    conv      conv      conv  join of 3   block4   4        512       0.3
                                          block5   2        512       0.4
                                                   1        linear

A 2x2 max pool ends every block; as in the paper it stands before the last join, one in each column. The deepest path of 5 blocks has 20
convolutions. Drop-path, in training, for each picture alone: one half (`global_share`) keeps a single column through the whole network; for the other
every join drops each of its inputs with probability `drop_path`, but never all. `column(network, k)` is column k as a net of its own, with the same
weights.

How many parameters? Counted literally 33,724,618 (33,734,922 with biases before the batch norms); the paper prints 38.6 M. Of the seven convolutions
of a block, three see its input, which in the blocks 2 to 4 is half as wide as its output. If a 1x1 convolution widened the input of the blocks 1 to 4
first, all seven would go from w to w channels: 7 * 9 * Σ w² = 38,449,152, with 172,224 for the 1x1s and 5,130 for the classifier 38,626,506: the
38.6 M. The expansion rule above has no such layer; so the printed number most likely belongs to a variant, and the network of the rule is built here.

Deviations: none known in the form; drop-path is drawn for each picture where the paper draws for each batch. Inputs over 32 pixels are averaged to
one place before the classifier; sides that do not halve evenly are rounded up.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.zoo.boxes import Network, conv
from striate.zoo.papers import FRACTALNET_CIFAR
from striate.zoo.registry import Shape, architecture

BLOCKS = ((64, 0.0), (128, 0.1), (256, 0.2), (512, 0.3), (512, 0.4))
"""Filters and dropout of each block."""

CARD = Card(
    paper="Larsson, Maire, Shakhnarovich: FractalNet: ultra-deep neural networks without residuals",
    year=2017,
    parameters=33_724_618,
    input=(3, 32, 32),
    classes=10,
    recipe=FRACTALNET_CIFAR,
    cut_points=("block1", "block2", "block3", "block4", "block5"),
    groups=(("block1",), ("block2",), ("block3",), ("block4",), ("block5",), ("fc",)),
    paper_names={"block 1": "block1", "block 2": "block2", "block 3": "block3", "block 4": "block4", "block 5": "block5", "prediction": "fc"},
    deviations="Drop-path is drawn for each picture, in the paper for each batch. The paper prints 38.6 M parameters, "
    "which its own description does not give (33.7 M); zoo/fractalnet.py says where they may come from.",
    error="CIFAR-10: 5.22 %, 4.60 % with drop-path and dropout",
)


class Draw:
    """What the network's joins share in one training pass: the column each picture keeps everywhere, from 0, or -1 for local drop-path."""

    def __init__(self) -> None:
        self.column: Tensor | None = None


class GlobalDrop(nn.Module):
    """Draws, in training, the column each picture keeps through the whole network; hands the pictures on as they are."""

    def __init__(self, draw: Draw, columns: int, share: float) -> None:
        super().__init__()
        self.draw, self.columns, self.share = draw, columns, share

    def forward(self, x: Tensor) -> Tensor:
        """Return x; one column for a `share` of the pictures, none (-1) for the others."""
        if self.training:
            column = torch.randint(self.columns, (len(x),), device=x.device)
            chosen = torch.rand(len(x), device=x.device) < self.share
            self.draw.column = torch.where(chosen, column, torch.full_like(column, -1))
        return x

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"columns={self.columns}, share={self.share:g}"


class Join(nn.Module):
    """The mean of the columns that end here; in training of those that drop-path leaves.

    `first` is the number of the leftmost column, from 0. A picture that keeps one column everywhere gets that column alone; the others lose each
    input with probability `drop`, but never all. A join run without its network (no draw for these pictures) drops locally.
    """

    def __init__(self, draw: Draw, first: int, drop: float) -> None:
        super().__init__()
        self.draw, self.first, self.drop = draw, first, drop

    def forward(self, *columns: Tensor) -> Tensor:
        """Turn tensors N C H W into one."""
        if self.training:
            columns = tuple(column * share for column, share in zip(columns, self.weights(len(columns), columns[0]), strict=True))
        total: Tensor = sum(columns[1:], columns[0])
        return total if self.training else total / len(columns)

    def weights(self, count: int, like: Tensor) -> Tensor:
        """Draw the share of each input: count N 1 1 1, adding up to 1 for each picture."""
        total = len(like)
        dice = torch.rand(count, total, device=like.device)
        kept = (dice >= self.drop) | (dice == dice.amax(0))  # the largest die stays, so that one always does
        column = self.draw.column
        if column is not None and len(column) == total:
            number = torch.arange(self.first, self.first + count, device=like.device)[:, None]
            alone = number == column
            kept = torch.where(alone.any(0), alone, kept)
        shares = kept.to(like.dtype)
        return (shares / shares.sum(0))[:, :, None, None, None]

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"first={self.first}, drop={self.drop:g}"


class FractalBlock(nn.Module):
    """Columns of convolutions, joined wherever several of them end at one height; a max pool ends each before the last join.

    Boxes: `columnK_I`, the I-th convolution of column K; `poolK`; `joinH`, the join at height H.
    """

    def __init__(self, channels: int, width: int, columns: int, dropout: float, drop_path: float, draw: Draw) -> None:
        super().__init__()
        self.columns, self.height = columns, 2 ** (columns - 1)
        for height in range(1, self.height + 1):
            ending = self.ending(height)
            for column in ending:
                number = height // 2 ** (columns - 1 - column)
                self.add_module(f"column{column + 1}_{number}", unit(channels if number == 1 else width, width, dropout))
                if height == self.height:
                    self.add_module(f"pool{column + 1}", nn.MaxPool2d(2, ceil_mode=True))
            if len(ending) > 1:
                self.add_module(f"join{height}", Join(draw, ending[0], drop_path))

    def ending(self, height: int) -> list[int]:
        """Return the columns, from 0, that have a convolution ending at `height`."""
        return [column for column in range(self.columns) if height % 2 ** (self.columns - 1 - column) == 0]

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/2⌉ ⌈W/2⌉."""
        state = [x] * self.columns
        for height in range(1, self.height + 1):
            ending = self.ending(height)
            for column in ending:
                state[column] = getattr(self, f"column{column + 1}_{height // 2 ** (self.columns - 1 - column)}")(state[column])
                if height == self.height:
                    state[column] = getattr(self, f"pool{column + 1}")(state[column])
            if len(ending) > 1:
                joined = getattr(self, f"join{height}")(*(state[column] for column in ending))
                for column in ending:
                    state[column] = joined
        return state[-1]


def unit(channels: int, width: int, dropout: float) -> Network:
    """Return convolution, dropout, batch norm and ReLU, in the order of the authors' code."""
    drop = nn.Dropout(dropout) if dropout else None
    return Network({"conv": conv(channels, width, 3), "dropout": drop, "bn": nn.BatchNorm2d(width), "relu": nn.ReLU()})


def column(network: nn.Module, number: int) -> Network:
    """Return column `number` (from 1) of a FractalNet as a net of its own: 2^(number-1) convolutions a block, with the same weights, not copies.

    Raises `ArgumentError` for another network or a column it does not have.
    """
    blocks = [box for box in network.children() if isinstance(box, FractalBlock)]
    if not blocks:
        raise ArgumentError(f"network: got {type(network).__name__}, expected a FractalNet, as zoo.build('fractalnet20', ...) makes it")
    if not 1 <= number <= blocks[0].columns:
        raise ArgumentError(f"number: got {number}, expected a column from 1 to {blocks[0].columns}")
    boxes: dict[str, nn.Module] = {}
    for name, box in network.named_children():
        if isinstance(box, FractalBlock):
            kept = {path: part for path, part in box.named_children() if path.startswith((f"column{number}_", f"pool{number}"))}
            boxes[name] = Network(kept)
        elif not isinstance(box, GlobalDrop):
            boxes[name] = box
    return Network(boxes).train(network.training)


@architecture("fractalnet20", help="FractalNet, 5 blocks of 3 columns, drop-path", year=2017, parameters=33_724_618, smallest=17, card=CARD)
def fractalnet20(
    classes: int, shape: Shape, *, columns: int = 3, drop_path: float = 0.15, global_share: float = 0.5, dropout: bool = True
) -> nn.Module:
    """Build FractalNet; `drop_path` 0 and `global_share` 0 switch drop-path off, `dropout` False the blocks' dropout."""
    for name, value in (("drop_path", drop_path), ("global_share", global_share)):
        if not 0 <= value <= 1:
            raise ArgumentError(f"{name}: got {value}, expected a share from 0 to 1")
    if columns < 1:
        raise ArgumentError(f"columns: got {columns}, expected 1 or more")
    draw, channels = Draw(), shape[0]
    boxes: dict[str, nn.Module | None] = {"global_drop": GlobalDrop(draw, columns, global_share) if columns > 1 else None}
    for number, (width, rate) in enumerate(BLOCKS, 1):
        boxes[f"block{number}"] = FractalBlock(channels, width, columns, rate if dropout else 0.0, drop_path, draw)
        channels = width
    boxes["avgpool"] = nn.AdaptiveAvgPool2d(1) if max(shape[1:]) > 32 else None
    network = Network({**boxes, "flatten": nn.Flatten(), "fc": nn.Linear(channels, classes)})
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
    return network
