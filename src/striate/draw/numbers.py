"""Numbers as people read them: grouped counts, percentages, three digits and no more."""

from __future__ import annotations

import math

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(value: float) -> str:
    """Spell a count with its thousands grouped: `60,000`."""
    return f"{round(value):,}".replace("-", "−")


def percent(share: float, digits: int = 2) -> str:
    """Spell a share from 0 to 1 as a percentage with a thin space before its sign: `0.82 %`."""
    return f"{share * 100:.{digits}f}\u2009%".replace("-", "−") if math.isfinite(share) else "–"


def short(value: float, digits: int = 3) -> str:
    """Spell a number with at most `digits` meant digits: `0.0312`, `1,280`, `3×10⁻⁷`; `–` for what is not a number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 6:
        mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        if mantissa.lstrip("-") == "10":
            mantissa, exponent = mantissa.replace("10", "1"), exponent + 1
        power = "10" + str(exponent).translate(_SUPERSCRIPT)
        text = power if mantissa == "1" else f"−{power}" if mantissa == "-1" else f"{mantissa}×{power}"
        return text.replace("-", "−")
    places = max(digits - 1 - exponent, 0)
    text = f"{value:,.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")
