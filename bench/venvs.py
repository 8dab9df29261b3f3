"""The peers' own virtual environments, under bench/.venvs (ignored by git).

    python bench/venvs.py fastai lightning keras captum     # or fewer of them; without names all

Each environment has its own packages and borrows torch (and what else is missing in it) from the environment this runs in, through a .pth file that
comes last on its path: everybody computes with the same build of torch, and no peer can replace it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from harness import HERE, ROOT, say

PACKAGES = {
    "fastai": ("fastai", "torchvision"),
    "lightning": ("lightning",),
    "keras": ("keras",),
    "captum": ("captum",),
    "grad-cam": ("grad-cam",),
    "foolbox": ("foolbox",),
    "lucent": ("torch-lucent",),
}
VENVS = HERE / ".venvs"


def python_of(peer: str) -> Path:
    """Return the path of a peer's Python, there or not."""
    return VENVS / peer / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def installed() -> tuple[str, ...]:
    """Return the peers whose environment is whole."""
    return tuple(name for name in PACKAGES if (VENVS / name / "whole").exists())


def make(peer: str) -> None:
    """Make one environment, or leave it as it is when it is whole; a failure leaves pip's words on the terminal."""
    folder = VENVS / peer
    if (folder / "whole").exists():
        say(f"{peer}: there already; delete {folder.relative_to(ROOT)} to make it again")
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = str(python_of(peer))
    own = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True)
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (Path(own.stdout.strip()) / "zz-borrowed-torch.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), *PACKAGES[peer]], check=True)
    (folder / "whole").touch()
    say(f"{peer}: {folder.relative_to(ROOT)}")


def main() -> None:
    """Make the environments asked for; go on where one cannot be made, and say so at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", choices=[[], *PACKAGES], default=list(PACKAGES))
    failed = []
    for peer in parser.parse_args().peers:
        try:
            make(peer)
        except subprocess.CalledProcessError as error:
            failed.append(f"{peer} (status {error.returncode})")
    if failed:
        raise SystemExit(f"not made: {', '.join(failed)}")


if __name__ == "__main__":
    main()
