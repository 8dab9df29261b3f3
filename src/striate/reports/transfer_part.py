"""The part of a report that says how a pretrained network was turned into this one: what was chosen, why, and how sure it has become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from striate import draw
from striate.draw import html
from striate.reports import wording
from striate.reports.stored import StoredRun, number


def transfer_section(run: StoredRun) -> html.Section | None:
    """Return the strategy, its reasons, the depths compared and the temperature's effect; None where a run was neither transferred nor calibrated."""
    transfer = run.part("transfer")
    if not transfer:
        known = dict(run.part("calibration", run.result))
        temperature, held = known.pop("temperature", None), known.pop("n", None)
        pieces = _calibration(run, {"temperature": temperature, "calibration": known})
        title = f"{held} training pictures were held back to make it as sure as it is right"
        return html.Section(title, pieces, short="Temperature") if pieces else None
    pieces = [_facts(transfer)]
    advice = transfer.get("advice")
    if isinstance(advice, Mapping):
        reasons = Markup("").join(Markup("<li>{}</li>").format(reason) for reason in advice.get("reasons", ()))
        pieces.append(Markup("<ul>{}</ul>").format(reasons))
        shown = _depths(advice)
        if shown is not None:
            pieces.append(shown)
    pieces += _calibration(run, transfer)
    pieces += [html.text(str(note[:1]).upper() + str(note[1:]) + ".") for note in transfer.get("notes", ())]
    return html.Section(_title(transfer, advice), pieces, short="Strategy")


def fitted_head(run: StoredRun) -> bool:
    """Whether the run is a head fitted to frozen codes in one go: it has no epochs, no rates and no recipe worth telling."""
    return run.part("transfer").get("strategy") in ("linear", "svm")


def _title(transfer: Mapping[str, Any], advice: Any) -> str:
    asked = transfer.get("asked")
    if transfer.get("trunk"):
        return "Class and box were learned on a pretrained trunk"
    if asked == "auto" and isinstance(advice, Mapping):
        return f"The data call for {advice.get('words')}"
    return f"The strategy, {transfer.get('strategy')}, was asked for" + (f"; advice: {advice.get('words')}" if isinstance(advice, Mapping) else "")


def _facts(transfer: Mapping[str, Any]) -> Markup:
    choice = transfer.get("choice") or {}
    known = {
        "pretrained weights": transfer.get("weights"),
        "licence": transfer.get("licence") or None,
        "the trunk": transfer.get("trunk"),
        "the head reads": " + ".join(choice.get("at", ())) + (", means and maxima" if choice.get("pool") == "both" else ", means")
        if choice
        else None,
        "views": ", ".join(choice.get("views", ())) or None,
        "strength of the head (C)": None if number(choice.get("C")) is None else f"{choice['C']:.3g}, cross-validated",
        "pictures held back for the temperature": transfer.get("held"),
    }
    return html.facts({name: value for name, value in known.items() if value is not None})


def _depths(advice: Mapping[str, Any]) -> Markup | None:
    errors = {str(row["at"]): 100 * float(row["error"]) for row in advice.get("depths", ()) if number(row.get("error")) is not None}
    if not errors:
        return None
    chosen = [layer for layer in errors if layer in advice.get("at", ())] if advice.get("strategy") == "linear" else []
    drawing = draw.bars(errors, "Error of a linear head by depth, cross-validated on the training pictures", unit=" %", highlight=chosen)
    return html.figure(drawing, "From the shallowest layer to the deepest; chosen ones in colour.")


def _calibration(run: StoredRun, transfer: Mapping[str, Any]) -> list[html.Piece]:
    rows = [
        {
            "part": wording.part_name(split),
            "n": int(found["n"]),
            "calibration error before": wording.percent(found["ece_before"], places=1),
            "after": wording.percent(found["ece_after"], places=1),
            "log-loss before": f"{found['loss_before']:.4f}",
            "log-loss after": f"{found['loss_after']:.4f}",
        }
        for split, found in (transfer.get("calibration") or {}).items()
    ]
    temperature = number(transfer.get("temperature"))
    if temperature is None or not rows:
        return []
    source = "held-out folds of the training pictures" if run.part("choice", transfer) else "training pictures that were held back"
    return [html.table(rows, caption=f"Logits divided by {temperature:.2f}, the temperature that fits {source}")]
