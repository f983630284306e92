"""Starts a kernel whose language runs in a process of its own: `launch.py LANGUAGE CONNECTION_FILE`.

As the Python kernel's launcher does, this keeps the package's directory off everybody's path: the
programs of a cell see nothing of ours.
"""

import sys
from pathlib import Path

#: Exit status for "this image lacks what the kernel needs": starting again is of no use.
EXIT_NO_KERNEL = 3

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[0] = str(here / "src")
    try:
        from soulbox_host import host
    except ImportError as missing:
        print(f"soulbox_host: this image lacks what the kernel needs: {missing}", file=sys.stderr)
        sys.exit(EXIT_NO_KERNEL)
    host.main(sys.argv[1], sys.argv[2])
