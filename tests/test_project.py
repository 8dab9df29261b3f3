"""The house rules that a machine can see: start-up without torch, honest stubs, a dev.py that old Pythons can read."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import striate

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "striate"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(path for path in SOURCE.rglob("*.py"))
HEAVY = ("torch", "matplotlib", "sklearn", "scipy", "PIL", "torchvision")


def loaded_by(program):
    """Run `program` in a fresh Python and return which heavy libraries it has loaded."""
    ending = f"\nimport json, sys; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program + ending], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LIGHT = ["core.contracts", "core.registry", "core.runtime", "core.storage", "cli", "cli.app", "data", "zoo", "training", "reports", "use"]


def test_importing_striate_loads_nothing_heavy():
    program = "import striate, " + ", ".join(f"striate.{name}" for name in LIGHT)
    program += "\nfor name in striate.__all__: dir(striate)"
    assert loaded_by(program) == []


def test_help_of_every_command_loads_nothing_heavy():
    program = (
        "import contextlib, io\nfrom striate.cli import main\nfrom striate.cli.registry import commands\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    codes = [main(['--help']), *(main([*name.split(), '--help']) for name in commands.names())]\n"
        "assert not any(codes), codes"
    )
    assert loaded_by(program) == []


STUBS = sorted(path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("__init__.pyi"))


@pytest.mark.parametrize("folder", STUBS)
def test_every_name_a_package_promises_is_there(folder):
    package = importlib.import_module(".".join(["striate", *folder.split("/")]) if folder != "." else "striate")
    tree = ast.parse((SOURCE / folder / "__init__.pyi").read_text(encoding="utf-8"))
    promised = [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert promised
    assert None not in promised, "write `from .file import name as name`, so that type checkers take it as exported"
    for name in promised:
        assert getattr(package, name) is not None
    assert set(promised) <= set(dir(package))


def test_no_package_exports_a_name_that_one_of_its_submodules_would_shadow():
    clashes = []
    for folder in STUBS:
        tree = ast.parse((SOURCE / folder / "__init__.pyi").read_text(encoding="utf-8"))
        submodules = {info.name for info in pkgutil.iter_modules([str(SOURCE / folder)])}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                clashes += [f"{folder}: {alias.name}" for alias in node.names if alias.name in submodules]
    assert clashes == []


def test_files_stay_readable():
    long = {str(path.relative_to(ROOT)): count for path in MODULES if (count := path.read_text(encoding="utf-8").count("\n")) > 400}
    assert long == {}, "split by idea past 400 lines"


def test_public_functions_take_no_keyword_tunnels():
    tunnels = []
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            functions = [node] if isinstance(node, ast.FunctionDef) else node.body if isinstance(node, ast.ClassDef) else []
            for function in functions:
                if isinstance(function, ast.FunctionDef) and function.args.kwarg and not function.name.startswith("_"):
                    tunnels += [f"{path.relative_to(SOURCE)}: {function.name}(**{function.args.kwarg.arg})"]
    allowed = {
        "core/registry.py: register(**facts)",
        "core/contracts.py: edited(**changes)",
    }  # names are data there
    assert set(tunnels) <= allowed


def test_the_version_is_told_once_and_has_its_entry_in_the_changelog():
    version = PYPROJECT["project"]["version"]
    assert striate.__version__ == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changelog, re.MULTILINE)
    assert "**Deprecation.**" in changelog


THIRD_PARTY = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pywt": "PyWavelets",
    "lazy_loader": "lazy-loader",
}


def test_every_library_that_is_imported_is_declared():
    declared = [re.split(r"[^A-Za-z0-9._-]", item)[0] for item in PYPROJECT["project"]["dependencies"]]
    for extra in PYPROJECT["project"]["optional-dependencies"].values():
        declared += [re.split(r"[^A-Za-z0-9._-]", item)[0] for item in extra]
    used = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(str(node.module).partition(".")[0])
    foreign = {THIRD_PARTY.get(name, name) for name in used - set(sys.stdlib_module_names) - {"striate"}}
    assert foreign <= set(declared)


@pytest.fixture(scope="module")
def dev():
    spec = importlib.util.spec_from_file_location("striate_dev", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_old_pythons_can_read_dev_py_far_enough_to_refuse():
    tree = ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    refusal = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.If))
    assert not any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in tree.body[:refusal])


def test_a_failing_step_shows_all_its_output_and_stops(dev, capfd):
    with pytest.raises(dev.StepFailed):
        dev.step("fails", [sys.executable, "-c", "import sys; print('first'); print('second', file=sys.stderr); sys.exit(3)"])
    shown = capfd.readouterr().out
    assert "fails ... failed with status 3" in shown
    assert "first" in shown
    assert "second" in shown


def test_a_quiet_step_says_what_and_how_long_and_nothing_else(dev, capfd):
    assert dev.step("counts", [sys.executable, "-c", "print(7)"]) == "7\n"
    assert re.fullmatch(r"counts \.\.\. \d+\.\d s\n", capfd.readouterr().out)


def test_an_installation_is_renewed_when_its_inputs_or_extras_change(dev, tmp_path, monkeypatch):
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "STAMP", tmp_path / "stamp.json")
    for name in dev.INPUTS:
        (tmp_path / name).write_text(name)
    assert not dev.installed([])
    dev.STAMP.write_text(json.dumps({"fingerprint": dev.fingerprint(), "extras": ["dev"]}))
    assert dev.installed([])
    assert dev.installed(["dev"])
    assert not dev.installed(["fast"])
    (tmp_path / "constraints.txt").write_text("torch==9")
    assert not dev.installed([])


def test_where_pip_reaches_nothing_the_missing_libraries_are_named(dev, capfd, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(dev.StepFailed):
        dev._without_pip([])
    shown = capfd.readouterr().out
    assert "lacks torch, numpy" in shown
    assert "PIP_FIND_LINKS" in shown
