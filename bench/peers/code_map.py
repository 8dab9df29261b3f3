"""One t-SNE of MNIST's test pictures, by striate or by a library as its documentation shows it."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import mnist, tell

PERPLEXITY = 30


def by_striate(codes):
    from striate.understand.flattening import flattened

    return flattened(codes, by="tsne", perplexity=PERPLEXITY, seed=0).points


def by_opentsne(codes):
    import openTSNE

    return np.asarray(openTSNE.TSNE(perplexity=PERPLEXITY, n_jobs=torch.get_num_threads(), random_state=0).fit(codes))


def by_sklearn(codes):
    from sklearn.manifold import TSNE

    return TSNE(perplexity=PERPLEXITY, n_jobs=torch.get_num_threads(), random_state=0).fit_transform(codes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("who", choices=["striate", "opentsne", "sklearn"])
    parser.add_argument("--samples", type=int, default=10_000)
    asked = parser.parse_args()
    pictures, _ = mnist("test", asked.samples)
    codes = (pictures.reshape(len(pictures), -1).float() / 255).numpy()
    run = {"striate": by_striate, "opentsne": by_opentsne, "sklearn": by_sklearn}[asked.who]
    run(codes[:200])
    began = time.perf_counter()
    points = run(codes)
    seconds = time.perf_counter() - began
    from striate.understand.codes import trustworthiness  # the same judge for all

    tell(seconds=round(seconds, 3), trustworthiness=round(trustworthiness(codes, points.astype(np.float32), 10), 5))


if __name__ == "__main__":
    main()
