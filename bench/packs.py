"""Packs: how fast a folder of 5,000 JPEGs becomes a pack, against decoding alone on all cores; and how fast it opens the second time.

    python bench/packs.py               # makes the pictures first (a minute, once), then about 2 minutes

One round: decoding alone (simplejpeg in a bare thread pool, pixels thrown away), writing alone (as many bytes, from memory), a pack built in an empty
cache, the same folder opened again by a new process. "Share of decoding alone" is the bare seconds over the pack's. All read files that the system
holds in memory by then.
"""

from __future__ import annotations

import argparse
import tempfile

from harness import PEERS, Job, Result, alternate, ceilings_job
from pictures import jpegs


def main() -> None:
    """Run the rounds and write bench/results/packs.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    folder, tiny = str(jpegs(asked.count)), str(jpegs(20))
    alone = Job("decoding alone", PEERS / "decode_jpegs.py", (folder,))
    held = alone.run()["bytes"]
    with tempfile.TemporaryDirectory(prefix="striate-packs-") as caches:

        def jobs(number: int) -> list[Job]:
            env = {"STRIATE_CACHE": f"{caches}/{number}"}
            first, second = (Job(who, PEERS / "striate_pack.py", (folder, tiny), env=env) for who in ("first start", "second start"))
            writing = Job("writing alone", PEERS / "write_bytes.py", (caches, str(held)))
            return [ceilings_job(asked.ceiling_seconds), alone, writing, first, second]

        answers = alternate(asked.rounds, jobs)
    bare, written, first, second = (
        [answer["seconds"] for answer in answers[who]] for who in ("decoding alone", "writing alone", "first start", "second start")
    )
    result = Result("packs", f"Packs: {asked.count} JPEGs of 500 x 375", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    result.row("decoding alone, all cores", [asked.count / seconds for seconds in bare], "pictures/s")
    result.row("first start: pack built", [asked.count / seconds for seconds in first], "pictures/s")
    result.row("pack built, share of decoding alone", [100 * a / b for a, b in zip(bare, first, strict=True)], "%", limit=90, at_least=True)
    result.row("writing alone, the same bytes", [answer["rate"] for answer in answers["writing alone"]], "GiB/s")
    floor = [max(a, b) for a, b in zip(bare, written, strict=True)]
    result.row("pack built, share of the slower of decoding and writing", [100 * a / b for a, b in zip(floor, first, strict=True)], "%")
    result.row("second start", second, "s", limit=1.0)
    result.row("second start until the first batch", [answer["until_first_batch"] for answer in answers["second start"]], "s")
    result.row("second start, the whole process", [answer["process_seconds"] for answer in answers["second start"]], "s")
    what = answers["decoding alone"][0]
    result.note(f"Decoding alone uses {what['decoder']} in {what['threads']} threads; the pictures are {what['bytes'] / 2**20:.0f} MiB decoded.")
    result.note("Seconds of the starts are those of striate.data.load in a fresh process, imports left out; the whole process is told beside.")
    result.save()


if __name__ == "__main__":
    main()
