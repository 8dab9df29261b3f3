"""Draw the pictures of docs/understanding anew: every method on freely licensed photographs, by the networks whose weights are at hand.

    python bench/gallery.py --weights FOLDER                       # all of them, ten minutes or so on two cores
    python bench/gallery.py --weights FOLDER --only saliency guided

FOLDER holds resnet50_v1.safetensors, squeezenet1_1.pth and vgg16_features.safetensors; the photographs are scikit-image's, in middle squares of
224 pixels, or whole where a method takes any size. Pictures that need runs (attack-curve, sparsity, top-patches) are drawn by the commands their
pages name. Look at what comes out, and at what its page says of it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness import ROOT, say
from striate import understand as u
from striate import zoo

IMAGES = ROOT / "docs" / "understanding" / "images"
TILED = ("astronaut", "chelsea", "coffee", "coins", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
CALLED = {"chelsea": "cat", "immunohistochemistry": "tissue", "hubble_deep_field": "galaxies"}
SIZE, TILES = 224, 4
WIDTH, QUALITY = 900, 88


def photograph(name: str) -> np.ndarray:
    """Return one of scikit-image's photographs, H W 3 uint8."""
    from skimage import data

    array = getattr(data, name)()
    return np.stack([array] * 3, -1) if array.ndim == 2 else array


class Setting:
    """Networks, photographs and tiles, made when they are asked for."""

    def __init__(self, weights: Path, folder: Path) -> None:
        self._weights, self._folder = weights, folder
        self._nets: dict[str, Any] = {}

    def net(self, name: str) -> Any:
        """Return a network with its published weights."""
        if name not in self._nets:
            self._nets[name] = self._built(name)
        return self._nets[name]

    def _built(self, name: str) -> Any:
        files = {"resnet50": "resnet50_v1.safetensors", "squeezenet": "squeezenet1_1.pth", "vgg": "vgg16_features.safetensors"}
        build = {"resnet50": ("resnet50_v1", {}), "squeezenet": ("squeezenet1_1", {}), "vgg": ("vgg16", {"classes": 10, "input": (3, 32, 32)})}
        architecture, options = build[name]
        options = options or {"classes": 1000, "input": (3, SIZE, SIZE)}
        return zoo.build(architecture, weights=self._weights / files[name], **({"partial": True} if name == "vgg" else {}), **options)

    def picture(self, name: str, *, whole: bool = False) -> str:
        """Return the path of a photograph: its middle square, brought to the network's size, or all of it."""
        target = self._folder / f"{CALLED.get(name, name)}{'-whole' if whole else ''}.png"
        if not target.exists():
            made = Image.fromarray(photograph(name))
            if not whole:
                side = min(made.size)
                left, top = (made.width - side) // 2, (made.height - side) // 2
                made = made.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
            made.save(target)
        return str(target)

    @cached_property
    def tiles(self) -> tuple[list[str], list[str]]:
        """Return files and class names of TILES x TILES overlapping tiles of each of eight photographs."""
        files, classes = list[str](), list[str]()
        for name in TILED:
            array = photograph(name)
            side = min(array.shape[:2]) * 2 // 3
            for number in range(TILES * TILES):
                top = (array.shape[0] - side) * (number // TILES) // (TILES - 1)
                left = (array.shape[1] - side) * (number % TILES) // (TILES - 1)
                tile = Image.fromarray(array[top : top + side, left : left + side]).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
                files.append(str(self._folder / f"{name}-{number:02}.png"))
                classes.append(CALLED.get(name, name))
                tile.save(files[-1])
        return files, classes


def drawings(s: Setting) -> dict[str, Callable[[], Any]]:
    """Return what draws each picture, by its file's name."""
    same: dict[str, Any] = {"preprocess": "imagenet"}
    r50, squeeze = lambda: s.net("resnet50"), lambda: s.net("squeezenet")
    cat, coffee, astronaut = s.picture("chelsea"), s.picture("coffee"), s.picture("astronaut")
    return {
        "activations": lambda: u.activations(r50(), cat, layer="layer2", **same),
        "code-map": lambda: u.code_map(r50(), s.tiles, **same),
        "code-map-pca": lambda: u.code_map(r50(), s.tiles, by="pca", **same),
        "ddn": lambda: u.ddn(r50(), cat, **same),
        "dead-filters": lambda: u.dead_filters(r50(), s.tiles, **same),
        "deconvnet": lambda: u.deconvnet(squeeze(), [cat, coffee], layer="features.12", **same),
        "deepfool": lambda: u.deepfool(r50(), cat, **same),
        "dream": lambda: u.dream(squeeze(), s.picture("chelsea", whole=True), **same),
        "eigen-cam": lambda: u.eigen_cam(r50(), cat, **same),
        "fgsm": lambda: u.fgsm(r50(), cat, epsilon=2, **same),
        "filters": lambda: u.filters(r50(), count=32),
        "fooling": lambda: u.fooling(r50(), cat, target=985, start="noise", **same),
        "fooling-photograph": lambda: u.fooling(r50(), cat, target=985, **same),
        "grad-cam": lambda: u.grad_cam(r50(), astronaut, target=450, **same),
        "grad-cam-plus-plus": lambda: u.grad_cam_plus_plus(r50(), cat, **same),
        "guided": lambda: u.guided(r50(), [cat, coffee], **same),
        "input-x-gradient": lambda: u.input_x_gradient(r50(), cat, **same),
        "integrated-gradients": lambda: u.integrated_gradients(r50(), cat, baseline="blur", **same),
        "invert": lambda: u.invert(squeeze(), astronaut, **same),
        "layer-cam": lambda: u.layer_cam(r50(), cat, **same),
        "layer-cam-early": lambda: u.layer_cam(r50(), cat, layer="layer2", **same),
        "maximise": lambda: u.maximise(squeeze(), target=[1, 963, 251, 980], **same),
        "neighbours": lambda: u.neighbours(r50(), s.tiles, queries=6, **same),
        "occlusion": lambda: u.occlusion(r50(), astronaut, window=31, stride=8, **same),
        "pgd": lambda: u.pgd(r50(), coffee, target=859, epsilon=2, steps=20, **same),
        "saliency": lambda: u.saliency(r50(), astronaut, **same),
        "score-cam": lambda: u.score_cam(r50(), cat, most=256, **same),
        "segmentation": lambda: u.segmentation(r50(), coffee, by="integrated_gradients", **same),
        "smoothgrad": lambda: u.smoothgrad(r50(), cat, samples=64, noise=0.1, **same),
        "style": lambda: u.style(s.net("vgg"), s.picture("chelsea", whole=True), s.picture("immunohistochemistry", whole=True), **same),
    }


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--to", type=Path, default=IMAGES)
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        todo = drawings(Setting(asked.weights, Path(folder)))
        unknown = [name for name in asked.only if name not in todo]
        if unknown:
            parser.error(f"--only {' '.join(unknown)}: expected some of {', '.join(todo)}")
        for name in asked.only or todo:
            drawn = Path(folder) / "drawn.png"
            explanation = todo[name]()
            explanation.save(drawn)
            with Image.open(drawn) as picture:
                wide = min(WIDTH, picture.width)
                flat = picture.convert("RGB").resize((wide, round(picture.height * wide / picture.width)), Image.Resampling.LANCZOS)
            flat.save(asked.to / f"{name}.jpg", quality=QUALITY)
            say(f"{name}: {explanation.method}, {flat.width} x {flat.height}")


if __name__ == "__main__":
    main()
