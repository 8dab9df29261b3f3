"""The page in a real browser: stepping, clicking a cell, keys and the address, told by what stands on the page afterwards."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from striate.tracing.opening import opened

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "trace"

SCRIPT = """
<script>
const seen = [];
const note = (what) => seen.push(what + "|" + document.getElementById("count").textContent + "|" + document.getElementById("step-title").textContent
  + "|" + document.getElementById("sum-body").textContent + "|" + decodeURIComponent(location.hash));
const panels = () => [...document.querySelectorAll(".panel")];
const canvasOf = (title) => panels().find((p) => p.querySelector("h3").textContent.startsWith(title)).querySelector("canvas[role]");
const click = (canvas, row, column, rows, columns) => {
  const box = canvas.getBoundingClientRect();
  const clientX = box.left + (column + 0.5) * box.width / columns, clientY = box.top + (row + 0.5) * box.height / rows;
  canvas.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX, clientY }));
};
const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
note("open");
click(canvasOf("Output"), 0, 1, 3, 3); note("click");
press(canvasOf("Output"), "ArrowDown"); note("down");
press(canvasOf("Output"), "ArrowDown"); note("down again");
press(canvasOf("Output"), "ArrowDown"); note("edge");
press(document.body, "Escape"); note("escape");
press(document.body, "ArrowRight"); note("right");
document.getElementById("next").click(); note("next");
document.getElementById("next").click(); note("last");
click(canvasOf("Gradient of weight"), 1, 1, 3, 3); note("gradient");
press(document.body, "ArrowRight"); note("end");
document.getElementById("back").click(); note("back");
const out = document.createElement("pre"); out.id = "seen"; out.textContent = seen.join("\\n"); document.body.append(out);
</script>
"""


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_stepping_clicking_and_keys(tmp_path):
    path = opened(str(EXAMPLES / "volume.json")).save(tmp_path / "trace.html")
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", SCRIPT + "</body>"), encoding="utf-8")
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    dom = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
    lines = html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', dom, flags=re.DOTALL)[1]).splitlines()
    seen = {what: rest for what, *rest in (line.split("|") for line in lines)}
    assert seen["open"][:2] == ["Step 1 of 4, forward pass", "conv1: Conv2d"]
    assert "Choose a number of the output" in seen["open"][2]
    assert seen["click"][2].startswith("conv1: y[0, 0, 0, 1]= 428 terms; the sum is 4 ✓")
    assert "2·0 + 2·0 + 0·0 + 2·(−1) + " in seen["click"][2]
    assert seen["click"][3] == "#box=conv1&pass=forward&array=y&at=0,0,0,1"
    assert "= 8" in seen["down"][2]
    assert seen["down again"][2].startswith("conv1: y[0, 0, 2, 1]= 0")
    assert seen["edge"][2] == seen["down again"][2]
    assert "Choose a number" in seen["escape"][2]
    assert [seen[what][0] for what in ("right", "next", "last", "end", "back")] == [
        "Step 2 of 4, forward pass",
        "Step 3 of 4, backward pass",
        "Step 4 of 4, backward pass",
        "Step 4 of 4, backward pass",
        "Step 3 of 4, backward pass",
    ]
    assert seen["gradient"][2].startswith("conv1: ∂loss/∂weight[0, 0, 1, 1]= 19")
