"""The report of a run that learned to give back pictures: what comes back, what noise goes, what the layers look for, where the codes lie."""

from __future__ import annotations

import math

from markupsafe import Markup

from striate.autoencode.figures import EXACT, FIGURES, Reconstruction, decibels
from striate.core.errors import StorageError
from striate.draw import html
from striate.reports import wording
from striate.reports.record_parts import again_section, files_section, machine_section, recipe_section
from striate.reports.stored import StoredRun
from striate.reports.training_parts import learning_section

TASKS = ("reconstruct", "contrast")
"""Tasks whose runs get this page."""


def reconstruction_page(run: StoredRun) -> str:
    """Return the page of a run that was trained on pictures alone; a run without measured figures gets what there is, and says so."""
    found: Reconstruction | None = None
    lead = [html.text(_how(run))]
    if (run.folder / FIGURES).exists():
        try:
            found = Reconstruction.load(run.folder)
        except StorageError as error:
            lead.append(html.warning(str(error)))
    if run.state != "finished":
        lead.append(
            html.warning(f"The run's state is {run.state}: {run.facts.get('reason') or 'it has not come to its end'}. What follows is what there is.")
        )
    sections: list[html.Section] = []
    if found is not None:
        sections = [s for s in (_back(found), _layers(found), _filters(found), _map(found)) if s is not None]
    else:
        text = "No reconstructions were measured for this run" + (
            ": it is one layer's turn of a stack." if run.folder.name.startswith("layer-") else "."
        )
        sections = [html.Section("No pictures here", [text], short="Pictures")]
    sections += [learning_section(run), recipe_section(run), again_section(run), machine_section(run), files_section(run)]
    title = found.title if found is not None else f"{_name(run)} on {run.data_name}"
    foot = f"{run.name} · striate {run.part('versions').get('striate', '')} · {run.folder}"
    return html.page(title, sections, lead=Markup("").join(lead), facts=_facts(run, found), foot=foot)


def _name(run: StoredRun) -> str:
    return run.model.rpartition(":")[2]


def _how(run: StoredRun) -> str:
    options = run.part("options", run.part("model"))
    shape = " → ".join(str(width) for width in (*(options.get("widths") or ()), options["code"]) if width) if "code" in options else ""
    form = f"{options.get('form', 'dense')} autoencoder, {shape}{', tied weights' if options.get('tied') else ''}" if shape else _name(run)
    count = run.part("splits", run.part("data")).get("train")
    amount = f"{count:,} " if isinstance(count, int) else ""
    lasted = f"for {run.epochs:g} epoch{'' if run.epochs == 1 else 's'} " if run.epochs else ""
    use = ", ".join([*(str(run.facts[key]) for key in ("device", "precision") if run.facts.get(key)), f"seed {run.facts.get('seed', 'unknown')}"])
    return f"{form[:1].upper()}{form[1:]}, trained {lasted}on {amount}pictures of {run.data_name} without their labels ({use})."


def _facts(run: StoredRun, found: Reconstruction | None) -> dict[str, object]:
    known: dict[str, object] = {}
    if found is not None:
        if found.cleaned:
            known[f"PSNR of cleaned pictures; noisy ones {_decibels(found.cleaned['noisy'])}"] = _decibels(found.cleaned["model"])
        else:
            known["PSNR of what comes back"] = _decibels(found.figures["model"])
        if found.figures.get("PCA", EXACT) < EXACT:
            known[f"PCA, {found.components} components, clean pictures"] = _decibels(found.figures["PCA"])
        if found.code is not None:
            known["numbers a code"] = wording.count(found.code)
    if run.parameters is not None:
        known["parameters"] = wording.count(run.parameters)
    if run.seconds is not None:
        known["of training"] = wording.duration(run.seconds)
    return known


def _back(found: Reconstruction) -> html.Section:
    rows = [{"pictures": name, "PSNR": _decibels(value)} for name, value in found.rows().items()]
    plural = "s" if found.n != 1 else ""
    where = f"{found.n:,} picture{plural} of the {wording.part_name(found.split)} part; PCA from {found.fitted:,} training pictures"
    intro = f"PSNR over {where}. Higher is better; 10 dB are a tenth of the squared error."
    return html.Section(found.title, [html.figure(found.sheet(titled=False)), html.table(rows)], intro=intro, short="Pictures")


def _layers(found: Reconstruction) -> html.Section | None:
    if not found.layers:
        return None
    rows: list[dict[str, object]] = []
    for place, layer in enumerate(found.layers, 1):
        sizes = [" × ".join(map(str, layer[end])) for end in ("input", "output")]
        rows.append(
            {
                "layer": f"{place}: {layer['name']}",
                "from": sizes[0],
                "to": sizes[1],
                "its own error": layer["loss"],
                "pictures": _decibels(layer["psnr"]),
            }
        )
    before, after = found.figures.get("before fine-tuning", math.nan), found.figures["model"]
    title = f"Layer by layer to {_decibels(before)}; fine-tuning the whole brings {_decibels(after)}"
    intro = "Each layer learned to give back what the ones below it give; `pictures` is the PSNR through it and all below, there and back."
    return html.Section(title, [html.table(rows)], intro=wording.with_code(intro), short="Layers")


def _filters(found: Reconstruction) -> html.Section | None:
    figure = found.filter_figure()
    if figure is None:
        return None
    return html.Section(
        "What the first layer looks for", [html.figure(figure)], intro="Weights of the first layer, all on one scale.", short="Filters"
    )


def _map(found: Reconstruction) -> html.Section | None:
    figure = found.code_map()
    if figure is None:
        return None
    words = "Every point is a picture's code; labels colour the frames and played no part in learning." if found.labels is not None else ""
    return html.Section("Where the codes lie", [html.figure(figure)], intro=words, short="Codes")


def _decibels(value: float) -> str:
    return "–" if math.isnan(value) else decibels(value).replace(" ", wording.THIN)
