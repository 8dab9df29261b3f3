"""What the whole suite shares: an own cache, skips with a reason, and a guard that the tests of the real sets really ran."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("striate", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # two workers share two busy cores
settings.load_profile("striate")

REAL = ("real data", True)
DATA_OUTCOMES = pytest.StashKey[Counter]()


def pytest_configure(config):
    config.stash[DATA_OUTCOMES] = Counter()
    folder = os.environ.get("STRIATE_DATA")
    if folder and not Path(folder).is_dir():
        raise pytest.UsageError(f"STRIATE_DATA is {folder!r}, which is no folder; unset it or point it at the real sets")


def pytest_runtest_setup(item):
    if item.get_closest_marker("data"):
        item.user_properties.append(REAL)
        if not os.environ.get("STRIATE_DATA"):
            pytest.skip("STRIATE_DATA is not set: no real data sets here")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no accelerator here")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep every test, and every process a test starts, away from the user's cache."""
    before = os.environ.get("STRIATE_CACHE")
    os.environ["STRIATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["STRIATE_CACHE"]
    else:
        os.environ["STRIATE_CACHE"] = before


class DataGuard:
    """With STRIATE_DATA set, a session that chose tests of the real sets but skipped all of them has failed."""

    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        if REAL in map(tuple, report.user_properties) and (report.when == "call" or report.outcome == "skipped"):
            self.config.stash[DATA_OUTCOMES][report.outcome] += 1

    def all_skipped(self):
        outcomes = self.config.stash[DATA_OUTCOMES]
        return bool(os.environ.get("STRIATE_DATA")) and outcomes["skipped"] > 0 and outcomes["passed"] == 0

    def pytest_sessionfinish(self, session):
        if self.all_skipped() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        outcomes = self.config.stash[DATA_OUTCOMES]
        if outcomes:
            verdict = "; all skipped although STRIATE_DATA is set: that is a failure" if self.all_skipped() else ""
            counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
            terminalreporter.line(f"tests of the real sets: {counts}{verdict}")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(DataGuard(session.config), "striate-data-guard")
