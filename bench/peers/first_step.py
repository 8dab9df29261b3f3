"""The command line itself (`striate train mnist ...`), ended at the first step of training: says when that was, on the machine's steady clock."""

from __future__ import annotations

import os
import sys
import time


def main():
    from striate.cli.progress import Watcher

    def stepped(self, step, *, samples, loss):  # noqa: ARG001 - the contract's words
        print(f'@@ {{"at": {time.monotonic()}, "step": {step}}}', flush=True)
        os._exit(0)

    for kind in (Watcher, *Watcher.__subclasses__()):
        kind.stepped = stepped
    from striate.cli import main as striate

    sys.exit(striate(sys.argv[1:]))


if __name__ == "__main__":
    main()
