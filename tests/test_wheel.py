"""The wheel, built and installed with what it declares into an environment that has nothing else, runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def call(*argv, cwd, **environment):
    """Run a command outside the checkout, without its variables, and return its output; a failure shows all of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STRIATE", "VIRTUAL_ENV"))}
    done = subprocess.run(list(map(str, argv)), cwd=cwd, env=kept | environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("striate-*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """Return the programs' folder of a fresh environment with the wheel and nothing but its own requirements."""
    folder = tmp_path_factory.mktemp("clean")
    call(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    call(programs / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    tracked = call("git", "ls-files", "src/striate", cwd=ROOT).split()
    missing = {path.removeprefix("src/") for path in tracked} - packaged
    assert missing == set(), "tracked files that the wheel lacks"
    assert all(name.startswith("striate/") for name in packaged)
    assert "striate/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_program_helps_and_tells_its_version(clean, tmp_path):
    assert "train" in call(clean / "striate", "--help", cwd=tmp_path)
    import striate

    assert call(clean / "striate", "--version", cwd=tmp_path).split() == ["striate", striate.__version__]
    where = call(clean / "python", "-c", "import striate; print(striate.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(clean.parent)


def test_the_installed_program_trains_predicts_and_reports(clean, tmp_path):
    from PIL import Image
    from sklearn.datasets import load_digits

    cache = {"STRIATE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    call(clean / "striate", "train", "digits", "--epochs", "3", "--folder", tmp_path / "run", cwd=tmp_path, **cache)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert min(part["error"] for part in result["splits"].values()) < 0.5
    assert "<html" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    zero = (load_digits().images[0] * 255 / 16).astype("uint8").repeat(2, axis=0).repeat(2, axis=1)  # the source's 8x8, doubled as it doubles them
    Image.fromarray(zero).save(tmp_path / "zero.png")
    told = call(clean / "striate", "predict", tmp_path / "run", tmp_path / "zero.png", "--json", cwd=tmp_path, **cache)
    assert "zero.png" in told
