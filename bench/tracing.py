"""The tracer: a whole LeNet-5 training step traced and checked, one number explained, the document and the page written.

    python bench/tracing.py               # about a minute on two quiet cores

Every round traces a LeNet-5 of its own weights on one 28 x 28 picture: 61,706 parameters, forward and back in float64, every box computed a second
time by its formula. The plain step beside it is torch's own forward and backward pass in float64, without any of that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Job, Result, alternate, ceilings_job, tell


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Run `action` and return its seconds with what it gave."""
    began = time.perf_counter()
    found = action()
    return time.perf_counter() - began, found


def measure(seed: int) -> None:
    """Trace one step and tell the times: this process's answer to the harness."""
    import torch
    from torch.nn import functional as F

    import striate as st
    from striate.tracing import trace

    torch.manual_seed(seed)
    model = st.zoo.build("lenet5", classes=10, input=(1, 28, 28)).eval()
    x, target = torch.rand(1, 1, 28, 28), torch.tensor([3])
    twin, wide = st.zoo.build("lenet5", classes=10, input=(1, 28, 28)).double().eval(), x.double()
    F.cross_entropy(twin(wide), target).backward()
    plain = statistics.median(timed(lambda: F.cross_entropy(twin(wide), target).backward())[0] for _ in range(5))
    trace(model, x, 3, at="fc3")  # the libraries are loaded
    whole, found = timed(lambda: trace(model, x, 3))
    output, _ = timed(lambda: found.explain("conv2", out=(3, 4, 4)))
    gradient, _ = timed(lambda: found.explain("conv2", gradient=("weight", (3, 2, 1, 1))))
    document, _ = timed(found.to_json)
    page, text = timed(found.to_html)
    tell(
        plain=plain,
        trace=whole,
        output=output,
        gradient=gradient,
        document=document,
        page=page,
        megabytes=len(text.encode()) / 1e6,
        numbers=found.numbers,
        boxes=len(found),
        agrees=found.agrees,
        deviation=max(max(box.deviations.values()) for box in found if box.deviations),
    )


def main() -> None:
    """Run the rounds and write bench/results/tracing.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", type=int, default=None, metavar="SEED", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        measure(asked.measure)
        return
    answers = alternate(asked.rounds, lambda number: [ceilings_job(0.2), Job("trace", Path(__file__), ("--measure", str(number)))])
    told = answers["trace"]
    result = Result("tracing", "The tracer", {"rounds": asked.rounds})
    result.saw_ceilings(answers["ceilings"])
    for what, name, unit in (
        ("LeNet-5 step, plain torch in float64", "plain", "s"),
        ("LeNet-5 step traced, every box checked by its formula", "trace", "s"),
        ("one output of conv2 explained (151 terms)", "output", "s"),
        ("one weight's gradient of conv2 explained (100 terms)", "gradient", "s"),
        ("JSON document made", "document", "s"),
        ("page made", "page", "s"),
        ("size of the page", "megabytes", "MB"),
    ):
        result.row(what, [answer[name] for answer in told], unit)
    result.row("numbers in the trace", [answer["numbers"] for answer in told], "numbers")
    result.row(
        "largest relative difference between formula and torch", [answer["deviation"] for answer in told], "of the largest number", limit=1e-10
    )
    result.note(f"{told[0]['boxes']} boxes; all agree: {all(answer['agrees'] for answer in told)}.")
    result.save()


if __name__ == "__main__":
    main()
