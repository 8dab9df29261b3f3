"""The oracle itself: it accepts equal networks and refuses unequal ones."""

import pytest
from oracles import agree, torchvision

from striate import zoo

pytestmark = pytest.mark.slow


def test_agreement_and_disagreement_are_told_apart():
    shape = (3, 112, 112)
    agree(zoo.build("resnet18", classes=10, input=shape), torchvision("resnet18", num_classes=10), shape)
    other = torchvision("resnet18", num_classes=10)
    other.layer3[1].relu.forward = lambda x: x
    with pytest.raises(AssertionError, match="the logits differ"):
        agree(zoo.build("resnet18", classes=10, input=shape), other, shape)
    with pytest.raises(AssertionError, match="ours alone"):
        agree(zoo.build("resnet34", classes=10, input=shape), other, shape)
