"""How long a Python kernel takes to answer: stock ipykernel, this kernel cold, and warm.

    python3 tests/measure_start.py [rounds]

Prints raw samples in milliseconds and their medians. "ready" is from the start of the process to
the answer of a kernel_info_request; "first" and "second" are `1+1`, "plot" the first figure.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from real_kernel import RealKernel

CELLS = {
    "first": "1+1",
    "second": "1+1",
    "pandas": "import pandas as pd; pd.DataFrame({'a': [1]})",
    "plot": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "second plot": "plt.plot([1, 2]); plt.show()",
}
STOCK = [sys.executable, "-m", "ipykernel_launcher"]
KERNELS: dict[str, tuple[tuple[str, ...], list[str] | None]] = {
    "stock": ((), STOCK),
    "cold": ((), None),
    "warm": (("--warm",), None),
}


def sample(arguments: tuple[str, ...], argv: list[str] | None) -> dict[str, float]:
    """Milliseconds of every step of one kernel."""
    with tempfile.TemporaryDirectory(prefix="sbk") as directory:
        kernel = RealKernel(Path(directory), *arguments, argv=argv)
        took = {"ready": kernel.ready_after * 1e3}
        for name, code in CELLS.items():
            started = time.perf_counter()
            kernel.run(code)
            took[name] = (time.perf_counter() - started) * 1e3
        kernel.stop()
    return took


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"Python {platform.python_version()} on {platform.machine()}, {rounds} rounds, ms")
    for name, (arguments, argv) in KERNELS.items():
        samples = [sample(arguments, argv) for _ in range(rounds)]
        for step in samples[0]:
            raw = [one[step] for one in samples]
            shown = " ".join(f"{value:.1f}" for value in raw)
            print(f"{name:6} {step:12} median {statistics.median(raw):8.1f}   {shown}")


if __name__ == "__main__":
    main()
