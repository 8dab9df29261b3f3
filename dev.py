"""Make striate's environment and run it: `python3 dev.py demo`, `python3 dev.py test`. Needs Python 3.11 or newer and nothing else."""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED = (3, 11)
if sys.version_info < NEEDED:  # this file's syntax stays readable to old Pythons, so that they get here
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)]
    advice = "Run `{} dev.py ...` instead.".format(newer[0]) if newer else "Install one from python.org or your system's packages."  # noqa: UP032
    sys.exit("striate needs Python 3.11 or newer; this is {}.{}. {}".format(sys.version_info[0], sys.version_info[1], advice))  # noqa: UP032

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "striate-installed.json"
INPUTS = ("pyproject.toml", "constraints.txt")
PATIENCE = ["--retries", "2", "--timeout", "30"]
UNREACHABLE = re.compile(
    r"connection (broken|refused|reset)|could not find a version|no matching distribution|"
    r"name resolution|max retries|network is unreachable|timed out|proxy",
    re.IGNORECASE,
)


class StepFailed(Exception):  # noqa: N818 - it reads as what happened
    """A step ended with a nonzero status; its output has been shown and is this error's text."""


def step(title: str, argv: list[str], *, live: bool = False, env: dict[str, str] | None = None) -> str:
    """Run `argv` in the project's folder, say what it is and how long it took, and return its output.

    A live step writes straight to the terminal (and returns ""); any other shows its output only, and then all of it, if it fails.
    """
    begin = time.monotonic()
    wanted = {**os.environ, **(env or {})}
    if live:
        print(f"{title}: {_spelled(argv)}", flush=True)
        status, output = subprocess.run(argv, cwd=ROOT, env=wanted, check=False).returncode, ""
    else:
        status, output = _quietly(title, argv, wanted)
    seconds = f"{time.monotonic() - begin:.1f} s"
    if status:
        print(f"{f'{title}: ' if live else ''}failed with status {status} after {seconds}", flush=True)
        if not live:
            print(f"  {_spelled(argv)}\n{output.rstrip()}", flush=True)
        raise StepFailed(output)
    print(f"{title}: {seconds}" if live else seconds, flush=True)
    return output


def _quietly(title: str, argv: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run `argv`, keeping its output; on a terminal its latest line stands beside the title while it lasts."""
    width = shutil.get_terminal_size().columns - len(title) - 6 if sys.stdout.isatty() and os.name != "nt" else 0
    print(f"{title} ... ", end="", flush=True)
    lines = []
    with subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as running:
        for line in running.stdout:
            lines.append(line)
            if width > 0:
                print(f"\r\x1b[K{title} ... {line.strip()[:width]}", end="", flush=True)
    if width > 0:
        print(f"\r\x1b[K{title} ... ", end="")
    return running.returncode, "".join(lines)


def _spelled(argv: list[str]) -> str:
    words = [str(Path(word).relative_to(ROOT)) if word.startswith(str(ROOT)) else word for word in argv]
    return subprocess.list2cmdline(words)


def tool(name: str) -> str:
    """Return the path of a program in the environment."""
    if name == "python" and BIN.parent != VENV:
        return sys.executable
    return str(BIN / (f"{name}.exe" if os.name == "nt" else name))


def environment() -> None:
    """Make `.venv` unless a working one is there."""
    if _works():
        return
    if VENV.exists():
        print(f"{VENV.name} has no working Python {NEEDED[0]}.{NEEDED[1]}+; making it again", flush=True)
    try:
        step(f"make {VENV.name} with Python {sys.version.split()[0]}", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    except StepFailed as failure:
        if "ensurepip" in str(failure):
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            sys.exit(f"This Python comes without venv. On Debian and Ubuntu: `sudo apt install python{version}-venv`, then run this again.")
        raise


def _works() -> bool:
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([tool("python"), "-c", probe], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def fingerprint() -> str:
    """Return the digest of everything an installation depends on."""
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in INPUTS) + str(ROOT).encode()).hexdigest()


def installed(extras: list[str]) -> bool:
    """Tell whether `.venv` already holds this project as it stands, with these extras."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp.get("fingerprint") == fingerprint() and set(extras) <= set(stamp.get("extras", []))


def install(extras: list[str]) -> dict[str, str]:
    """Install striate, editable, into `.venv` unless a stamp says it is there; return the variables its programs need.

    Where pip reaches nothing but the Python running this has every library already, that Python is used as it stands, and this is said.
    """
    environment()
    if installed(extras):
        print("install: nothing changed since the last time", flush=True)
        return {}
    target = f".[{','.join(extras)}]" if extras else "."
    if not _has_torch():
        print(
            "torch comes first: some hundred megabytes, on Linux more (README says how to get the small build for machines without a GPU)", flush=True
        )
    try:
        step(
            f"install striate and its libraries ({target})",
            [tool("python"), "-m", "pip", "install", *PATIENCE, "-c", "constraints.txt", "-e", target],
        )
    except StepFailed as failure:
        if not UNREACHABLE.search(str(failure)):
            raise
        return _without_pip(extras)
    STAMP.write_text(json.dumps({"fingerprint": fingerprint(), "extras": extras}), encoding="utf-8")
    return {}


def _has_torch() -> bool:
    return any(VENV.glob("lib/python*/site-packages/torch")) or (VENV / "Lib/site-packages/torch").exists()


def _without_pip(extras: list[str]) -> dict[str, str]:
    import importlib.metadata
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(item for extra in extras for item in project["optional-dependencies"][extra])]
    names = [re.split(r"[^A-Za-z0-9._-]", item)[0] for item in wanted]
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    print("\npip found no way to the packages: no network, a proxy, or a version nobody offers here (its own words are above).", flush=True)
    if missing:
        print(
            f"{sys.executable} lacks {', '.join(missing)}, so it cannot stand in.\n"
            "With wheels at hand: `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER python3 dev.py ...`; behind a proxy: set HTTPS_PROXY.",
            flush=True,
        )
        raise StepFailed
    print(f"Going on without an installation: {sys.executable} has every library (versions unchecked), striate is read from src/.", flush=True)
    global BIN  # noqa: PLW0603 - from here on, programs are those of the Python that stands in
    BIN = Path(sys.executable).parent
    return {"PYTHONPATH": str(ROOT / "src")}


def demo() -> None:
    """Train LeNet-5 on the digits and name the report."""
    env = install([])
    known = set(ROOT.glob("runs/*/report.html"))
    program = [tool("python"), "-c", "from striate.cli import main; main()"] if env else [tool("striate")]
    step("train", [*program, "train", "digits"], live=True, env=env)
    fresh = [path for path in ROOT.glob("runs/*/report.html") if path not in known]
    if not fresh:
        sys.exit("The training ended without a report in runs/; that is a bug worth telling us.")
    print(f"\nOpen this in a browser:\n{max(fresh, key=lambda path: path.stat().st_mtime)}", flush=True)


LINTS = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "layers": ["lint-imports", "--no-cache"],
}


def checks(env: dict[str, str]) -> list[str]:
    """Run every static check, whatever the others say; return the names of those that failed."""
    failed = []
    for name, argv in LINTS.items():
        try:
            step(name, [tool(argv[0]), *argv[1:]], env=env)
        except StepFailed:
            failed.append(name)
    return failed


def lint() -> None:
    """Run ruff, mypy and the layer contracts."""
    verdict(checks(install(["dev"])))


def test(*, everything: bool, rest: list[str]) -> None:
    """Run every static check, then the fast suite, or with `everything` the slow one too."""
    begin = time.monotonic()
    env = install(["dev"])
    failed = checks(env)
    marks = "not soak" if everything else "not slow and not soak"
    argv = [tool("python"), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "--durations", "10", "-m", marks, *rest]
    try:
        step("tests", argv, live=True, env={"OMP_NUM_THREADS": "1", **env})
    except StepFailed:
        failed.append("tests")
    print(f"in all: {time.monotonic() - begin:.0f} s", flush=True)
    verdict(failed)


def verdict(failed: list[str]) -> None:
    """End with status 1 and the names of what failed, or say that all is well."""
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    print("all is well", flush=True)


def clean(*, everything: bool) -> None:
    """Remove caches and build products; with `everything` the environment too. Runs are never touched."""
    names = [
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".import_linter_cache",
        ".hypothesis",
        "build",
        "dist",
        *([".venv"] if everything else []),
    ]
    for folder in [*(ROOT / name for name in names), *(p for part in ("src", "tests") for p in (ROOT / part).rglob("__pycache__"))]:
        if folder.exists():
            shutil.rmtree(folder)
            print(f"removed {folder.relative_to(ROOT)}")


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="dev.py", description="Make striate's environment (.venv) and run it.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("demo", help="install, train LeNet-5 on real digits, print the path of the report")
    tests = commands.add_parser("test", help="install, then lint, types, layers and the fast tests; words after -- go to pytest")
    tests.add_argument("--all", action="store_true", help="the slow tests too")
    tests.add_argument("rest", nargs="*", metavar="-- PYTEST", help=argparse.SUPPRESS)
    commands.add_parser("lint", help="install, then lint, types and layers")
    installing = commands.add_parser("install", help="make or renew the environment with everything development needs")
    installing.add_argument("--oracles", action="store_true", help="torchvision and timm too, which slow tests compare with")
    cleaning = commands.add_parser("clean", help="remove caches and build products; runs stay")
    cleaning.add_argument("--all", action="store_true", help="the environment too")
    asked = parser.parse_args()
    if asked.command == "test":
        test(everything=asked.all, rest=asked.rest)
    elif asked.command == "clean":
        clean(everything=asked.all)
    elif asked.command == "install":
        install(["dev", "oracles"] if asked.oracles else ["dev"])
    else:
        {"demo": demo, "lint": lint, None: parser.print_help}[asked.command]()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        try:
            main()
        except StepFailed:
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)
