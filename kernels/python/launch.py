"""Start the kernel without leaving a trace of where its package lives.

`python3 -m soulbox_kernel` would need PYTHONPATH, which user code and its children would inherit.
So the agent runs this file: the package's directory is on `sys.path` only while the package itself
is imported (its submodules are found through its own `__path__` later), and the directory of this
file, which Python puts first, is taken off, as ipykernel's launcher does with its own.
"""

import sys
from pathlib import Path

#: Exit status for "this image has no usable ipykernel": starting again is of no use.
EXIT_NO_KERNEL = 3

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[0] = str(here / "src")
    try:
        from soulbox_kernel import app
    except ImportError as missing:
        print(f"soulbox_kernel: no Python kernel in this image: {missing}", file=sys.stderr)
        sys.exit(EXIT_NO_KERNEL)
    del sys.path[0]
    app.main(sys.argv[1:])
