"""What the tests of autoencoders share: dozens of tiny runs, whose files need not survive a power cut."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="package")
def not_waiting_for_the_disk():
    """Leave the waiting for the disk out: most of these tests' time, and none of what they check."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield
