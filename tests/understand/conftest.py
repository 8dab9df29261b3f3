"""A small network trained here on scikit-learn's digits: methods whose figures hang on trained weights are judged on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F


class DigitsNet(nn.Module):
    """Three convolutions with batch norm; functional and in-place ReLUs, a residual add, pooling and one dense layer as its head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 12, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(12)
        self.conv3 = nn.Conv2d(12, 24, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x)) + x), 2)
        x = self.relu(self.conv3(x))
        return self.fc(x.mean((2, 3)))


@pytest.fixture(scope="session")
def digits_pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """All digits as N 1 8 8 in [0, 1], and their classes."""
    found = load_digits()
    return torch.from_numpy((found.images / 16).astype(np.float32))[:, None], torch.from_numpy(found.target)


@pytest.fixture(scope="session")
def trained_digits(digits_pictures: tuple[torch.Tensor, torch.Tensor]) -> nn.Module:
    """A `DigitsNet` after six epochs, in eval mode: about 90 % right on digits it has not seen."""
    pixels, labels = digits_pictures
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = DigitsNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=6 * 14)
    for epoch in range(6):
        for part in torch.randperm(1400, generator=torch.Generator().manual_seed(epoch)).split(100):
            loss = F.cross_entropy(net(pixels[part]), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        assert (net(pixels[1400:]).argmax(1) == labels[1400:]).float().mean() > 0.85
    return net
