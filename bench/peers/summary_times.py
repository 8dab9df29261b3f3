"""One network's summary in a process of its own: the first, later ones, and what it costs in memory beside building the network for real."""

from __future__ import annotations

import argparse
import resource
import time

from common import tell


def peak() -> float:
    """Return the most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def timed(action) -> float:
    """Return the seconds `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()

    from striate import zoo
    from striate.measure import summary

    card = zoo.card(asked.name)

    def build():
        return zoo.build(asked.name, classes=card.classes, input=card.input)

    before = peak()
    first = timed(lambda: summary(build, card.input))
    grown = peak() - before
    later = [timed(lambda: summary(build, card.input)) for _ in range(asked.repeats)]
    model = build()
    real = [timed(lambda: summary(model, card.input)) for _ in range(asked.repeats)]
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
    tell(first=first, later=later, model=real, grown_mb=grown, weights_mb=weights)


if __name__ == "__main__":
    main()
