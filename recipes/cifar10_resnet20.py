"""ResNet-20 on CIFAR-10: the paper's recipe in bf16, and what a modern one reaches in a tenth of the time.

    python recipes/cifar10_resnet20.py classic    # 164 epochs of 33 s on two cores alone: 90 minutes; run it again to resume
    python recipes/cifar10_resnet20.py modern     # 16 epochs

Figures, seeds, machine and versions: logs/cifar10-resnet20-classic.json, logs/cifar10-resnet20-modern.json.
"""

from __future__ import annotations

import sys

from series import main

FORMS = {
    "classic": ("8.75 ± 0.5 % test error by the classical recipe (He et al. 2016), in bf16", "cifar-classic", {"mean_error": (0.0825, 0.0925)}),
    "modern": ("what a one-cycle recipe with averaging reaches in a tenth of the classical length", "cifar-modern", None),
}

if __name__ == "__main__":
    form = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in FORMS else "modern"
    claim, recipe, limits = FORMS[form]
    main(f"cifar10-resnet20-{form}", claim, model="resnet20", data="cifar10", recipe=recipe, seeds=1, limits=limits)
