"""Explanations of the same pictures by the same network: striate's, or a library's as its documentation shows it.

Three jobs: `conformance` (are its gradient rules right, and is the model left as it was?), `speed` (seconds a picture), `maps` (for the quality
figures, written to a file). The network is built by striate's zoo for everybody; libraries get its standardised input, striate the pixels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from common import tell, versions
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "src"))  # a peer's environment borrows packages, not the editable install
PACKAGE = {"striate": None, "captum": "captum", "grad-cam": "grad-cam", "foolbox": "foolbox", "lucent": "torch-lucent"}
LONG, SHORT, MANY = 10.0, 2.0, 15
"""Seconds from which on a task is timed once, without a warm-up; seconds that are filled with turns of a quick one, up to so many turns."""


def network(asked):
    """Return the network in eval mode, its preprocess and the last layer with maps, the same in every process."""
    from striate import zoo
    from striate.understand import default_layer

    torch.manual_seed(0)
    shape = (3, asked.size, asked.size)
    model = zoo.build(asked.net, classes=asked.classes, input=shape)
    preprocess = zoo.imagenet_preprocess()
    if asked.weights:
        preprocess = zoo.load_weights(model, asked.weights).preprocess or preprocess
    else:
        with torch.no_grad():
            model.train()(torch.randn(4, *shape))  # statistics that are not those of a fresh network
    model.eval()
    return model, preprocess, default_layer(model, torch.zeros(1, *shape))


def pictures(asked):
    """Return pixels N C H W in [0, 1]: scikit-image's photographs, or CIFAR-10's first test pictures for a network of their size."""
    if asked.size == 32:
        from striate import data

        stacked = np.stack(list(data.load("cifar10").pictures("test", range(asked.count))))
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
    from skimage import data

    made = []
    for name in ("astronaut", "cat", "coffee")[: asked.count]:
        array = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255
        side = min(array.shape[-2:])
        top, left = (array.shape[-2] - side) // 2, (array.shape[-1] - side) // 2
        made.append(F.interpolate(array[..., top : top + side, left : left + side], size=(asked.size, asked.size), mode="area"))
    return torch.cat(made).clamp(0, 1)


class Setting:
    """What every task works on."""

    def __init__(self, asked):
        self.model, self.preprocess, self.layer = network(asked)
        self.pixels = pictures(asked)
        self.x = self.preprocess(self.pixels)
        with torch.no_grad():
            self.target = self.model(self.x).argmax(1)
        self.window, self.stride = (15, 8) if asked.size >= 128 else (8, 4)
        self.module = self.model.get_submodule(self.layer)


def striate_tasks(s):
    from striate import understand as u

    same = {"target": s.target.tolist(), "preprocess": s.preprocess}
    slide = {"window": s.window, "stride": s.stride, "value": "mean", "score": "logit"}
    return {
        "saliency": lambda x: u.saliency(s.model, x, **same),
        "input x gradient": lambda x: u.input_x_gradient(s.model, x, **same),
        "integrated gradients": lambda x: u.integrated_gradients(s.model, x, **same),
        "integrated gradients, 50 gradients": lambda x: u.integrated_gradients(s.model, x, steps=50, most=50, **same),
        "guided": lambda x: u.guided(s.model, x, **same),
        "deconvnet": lambda x: u.deconvnet(s.model, x, **same),
        "Grad-CAM": lambda x: u.grad_cam(s.model, x, layer=s.layer, **same),
        "occlusion": lambda x: u.occlusion(s.model, x, precision="fp32", **slide, **same),
        "occlusion, auto": lambda x: u.occlusion(s.model, x, **slide, **same),
        "Score-CAM": lambda x: u.score_cam(s.model, x, layer=s.layer, precision="fp32", **same),
        "Score-CAM, auto": lambda x: u.score_cam(s.model, x, layer=s.layer, **same),
        "FGSM": lambda x: u.fgsm(s.model, x, epsilon=2.0, preprocess=s.preprocess),
        "PGD-40": lambda x: u.pgd(s.model, x, epsilon=2.0, preprocess=s.preprocess),
        "maximise": lambda _: u.maximise(s.model, target=[int(s.target[0])], shape=tuple(s.pixels.shape[1:]), preprocess=s.preprocess),
    }


def captum_tasks(s):
    from captum import attr

    def occlusion(batch):
        baseline = s.preprocess(s.pixels.mean((2, 3), keepdim=True).expand_as(s.pixels))
        window, stride = (3, s.window, s.window), (3, s.stride, s.stride)
        return lambda x: torch.cat(
            [
                attr.Occlusion(s.model).attribute(
                    one[None], sliding_window_shapes=window, strides=stride, baselines=ground[None], target=int(t), perturbations_per_eval=batch
                )
                for one, ground, t in zip(x, baseline, s.target, strict=False)
            ]
        )

    black = s.preprocess(torch.zeros_like(s.pixels[:1]))
    plain = lambda method: lambda x: method.attribute(x, target=s.target[: len(x)])  # noqa: E731
    tasks = {
        "saliency": lambda x: attr.Saliency(s.model).attribute(x, target=s.target[: len(x)], abs=False),
        "input x gradient": plain(attr.InputXGradient(s.model)),
        "integrated gradients, 50 gradients": lambda x: attr.IntegratedGradients(s.model).attribute(
            x, baselines=black.expand_as(x), target=s.target[: len(x)], return_convergence_delta=True
        ),
        "guided": plain(attr.GuidedBackprop(s.model)),
        "deconvnet": plain(attr.Deconvolution(s.model)),
        "Grad-CAM": plain(attr.LayerGradCam(s.model, s.module)),
        "occlusion": occlusion(1),
    }
    return tasks | {f"occlusion, {batch} at once": occlusion(batch) for batch in (4, 16, 64)}


def grad_cam_tasks(s):
    from pytorch_grad_cam import GradCAM, GuidedBackpropReLUModel, ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def cam(kind, **more):
        def run(x):
            with kind(model=s.model, target_layers=[s.module]) as made:
                for name, value in more.items():
                    setattr(made, name, value)
                return made(input_tensor=x, targets=[ClassifierOutputTarget(int(t)) for t in s.target[: len(x)]])

        return run

    def guided(x):
        made = GuidedBackpropReLUModel(model=s.model, device=torch.device("cpu"))
        return np.stack([made(one[None], target_category=int(t)).transpose(2, 0, 1) for one, t in zip(x, s.target, strict=False)])

    cams = {"Grad-CAM": cam(GradCAM), "Score-CAM": cam(ScoreCAM), "Score-CAM, 64 at once": cam(ScoreCAM, batch_size=64)}
    return cams | {"guided": guided}  # last: it leaves other modules in the model, and a hook on one of the old never fires again


def foolbox_tasks(s):
    import foolbox

    mean, std = (torch.tensor(values) for values in (s.preprocess.mean, s.preprocess.std))
    fooled = foolbox.PyTorchModel(s.model, bounds=(0, 1), device="cpu", preprocessing={"mean": mean, "std": std, "axis": -3})
    pgd = foolbox.attacks.LinfProjectedGradientDescentAttack(rel_stepsize=1 / 30, steps=40, random_start=False)

    def run(attack):
        return lambda _: attack(fooled, s.pixels, s.target, epsilons=2 / 255)[1]

    return {"FGSM": run(foolbox.attacks.LinfFastGradientAttack()), "PGD-40": run(pgd)}


def lucent_tasks(s):
    from lucent.optvis import objectives, param, render

    def run(_):
        goal = objectives.Objective(lambda outputs: -outputs("labels")[0, int(s.target[0])])
        size = s.pixels.shape[-1]
        made = render.render_vis(s.model, goal, lambda: param.image(size), fixed_image_size=size, show_image=False, show_inline=False, progress=False)
        return made[-1]

    return {"maximise": run}


TASKS = {"striate": striate_tasks, "captum": captum_tasks, "grad-cam": grad_cam_tasks, "foolbox": foolbox_tasks, "lucent": lucent_tasks}
MAPS = {
    "striate": ("saliency", "integrated gradients", "guided", "Grad-CAM", "occlusion"),
    "captum": ("saliency", "integrated gradients, 50 gradients", "guided", "Grad-CAM", "occlusion, 64 at once"),
    "grad-cam": ("Grad-CAM", "guided"),
}


def speed(asked):
    """Time every task on the first picture alone, and tell what it says of itself."""
    asked.count = 1
    s = Setting(asked)
    given = s.pixels if asked.who == "striate" else s.x
    seconds, facts, failed = {}, {}, {}
    for name, task in TASKS[asked.who](s).items():
        if asked.only and not any(name.startswith(word) for word in asked.only):
            continue
        try:
            began = time.perf_counter()
            made = task(given)
            times = [time.perf_counter() - began]
            if times[0] < LONG:
                turns = max(asked.turns, min(MANY, int(SHORT / times[0])))
                times = []
                for _ in range(turns):
                    began = time.perf_counter()
                    task(given)
                    times.append(time.perf_counter() - began)
        except Exception as problem:  # noqa: BLE001 - what a library cannot do is its outcome
            failed[name] = f"{type(problem).__name__}: {problem}"[:300]
            continue
        seconds[name] = statistics.median(times)
        facts[name] = {key: value for key, value in getattr(made, "receipts", {}).items() if "correlation" in key or "completeness" in key}
        if isinstance(made, tuple):  # captum's integrated gradients with its delta
            with torch.no_grad():
                black = s.preprocess(torch.zeros_like(s.pixels[:1]))
                differences = (s.model(s.x) - s.model(black)).gather(1, s.target[:, None])[:, 0]
            facts[name] = {"completeness_error": float((made[1] / differences).abs().median())}
    tell(seconds=seconds, facts=facts, failed=failed, versions=told(asked.who))


def conformance(asked):
    """Run the public suite over the gradient rules."""
    from striate.probe.conformance import check

    right = {}
    for rule, explain in rules(asked.who).items():
        outcomes = check(explain, rule)
        right[rule] = {
            each.case: {"right": each.right, "plain": each.plain, "left": list(each.left), "raised": each.raised[:120], "error": min(each.error, 1e9)}
            for each in outcomes
        }
    tell(right=right, versions=told(asked.who))


def rules(who):
    """Return the library's gradient rules as the suite calls them: `explain(model, x, target)`."""
    if who == "striate":
        from striate import understand as u

        def ours(method):
            def explain(model, x, target):
                low, span = x.min(), x.max() - x.min()  # pictures are pixels in [0, 1]; what makes them x again is the preprocess
                made = method(model, (x - low) / span, target=target, preprocess=lambda pixels: pixels * span + low)
                return made.arrays["signal"] / float(span)

            return explain

        return {"guided": ours(u.guided), "deconvnet": ours(u.deconvnet)}
    if who == "captum":
        from captum import attr

        return {
            "gradient": lambda model, x, target: attr.Saliency(model).attribute(x, target=target, abs=False),
            "guided": lambda model, x, target: attr.GuidedBackprop(model).attribute(x, target=target),
            "deconvnet": lambda model, x, target: attr.Deconvolution(model).attribute(x, target=target),
        }
    from pytorch_grad_cam import GuidedBackpropReLUModel

    def guided(model, x, target):
        made = GuidedBackpropReLUModel(model=model, device=torch.device("cpu"))
        return np.stack([made(one[None], target_category=target).transpose(2, 0, 1) for one in x])

    return {"guided": guided}


def maps(asked):
    """Write every map N H W of the library, signed where it is, to `--out`."""
    s = Setting(asked)
    found = {}
    tasks = TASKS[asked.who](s)
    for name in MAPS[asked.who]:
        made = tasks[name](s.pixels if asked.who == "striate" else s.x)
        made = made.arrays["map"] if hasattr(made, "arrays") else made[0] if isinstance(made, tuple) else made
        array = made.detach().numpy() if isinstance(made, torch.Tensor) else np.asarray(made)
        if array.ndim == 4:  # by channel: what a picture of it would show
            array = np.abs(array).max(1) if name in ("saliency", "guided") else array.sum(1)
        found[name.partition(",")[0]] = np.maximum(array, 0) if name == "Grad-CAM" else array
    np.savez(asked.out, **found)
    tell(maps=list(found), versions=told(asked.who))


def judge(asked):
    """Tell gap and insertion area of all maps in `--out`'s folder, and of centre prior and chance, over the same pictures."""
    from striate.understand import prepare
    from striate.understand.receipts import followed

    s = Setting(asked)
    figures = {}
    with prepare(s.model, s.pixels, preprocess=s.preprocess) as p:
        for file in sorted(Path(asked.out).glob("*.npz")):
            for name, values in np.load(file).items():
                judged, _ = followed(p, values.astype(np.float64))
                figures[f"{file.stem}: {name}"] = {key: judged[key] for key in ("gap", "insertion_area")}
    figures["centre prior"] = {"gap": judged["gap_centre"]}
    figures["random"] = {"gap": judged["gap_random"], "spread": judged["gap_random_spread"]}
    tell(figures=figures)


def told(who):
    """Return versions of what computes here."""
    package = PACKAGE[who]
    return versions() | ({package: metadata.version(package)} if package else {})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=PACKAGE)
    parser.add_argument("job", choices=("conformance", "speed", "maps", "judge"))
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--weights", default="")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--out", default="")
    asked = parser.parse_args()
    if asked.who == "striate":
        from striate.core.runtime import keep_freed_memory

        keep_freed_memory()  # the command line does so first of all
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        {"conformance": conformance, "speed": speed, "maps": maps, "judge": judge}[asked.job](asked)


if __name__ == "__main__":
    main()
