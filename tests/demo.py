"""Starts a server of its own, runs the demo on it with the stock client, and stops it again.

The server uses a temporary data directory and a free port, so a SoulBox that already runs on
this machine is not touched. `sdk-python/examples/demo.py` is the program that a newcomer reads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.server import BINARY, ROOT, Server

# What one's own program needs, once a server of one's own runs.
NEXT = """
What next:

  sudo {binary} serve --data-dir {data}

It prints an API key at its first start (`soulbox key create` makes more). In another terminal:

  export E2B_API_URL=http://127.0.0.1:3000
  export E2B_SANDBOX_URL=http://127.0.0.1:3000
  export E2B_API_KEY=e2b_...   # the key that it printed

and run any program that uses e2b-code-interpreter, such as

  {python} sdk-python/examples/demo.py
"""


def short(path: Path) -> str:
    """A path as one would type it from the clone."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def give_back(directory: Path) -> None:
    """Files that sudo made belong to the user who asked for them."""
    if user := os.environ.get("SUDO_UID"):
        for path in [directory, *directory.iterdir()]:
            os.chown(path, int(user), int(os.environ["SUDO_GID"]))


def main(out: Path) -> int:
    print("starting a gateway and its node", flush=True)
    # The demo's sandboxes are gVisor's, which is the default: no option is given.
    server = Server(isolation="gvisor")
    try:
        server.start()
        print(f"listening on {server.url}", flush=True)
        demo = ROOT / "sdk-python/examples/demo.py"
        environment = {**os.environ, **server.settings()}
        code = subprocess.run([sys.executable, str(demo), str(out)], env=environment).returncode
        if code:
            print(server.tail(), file=sys.stderr)
            return code
        give_back(out)
        server.stop()
    finally:
        server.destroy()
    python = shutil.which("python3") if not os.environ.get("SOULBOX_CACHE") else sys.executable
    data = os.environ.get("SOULBOX_IMAGES", "/var/lib/soulbox/images").removesuffix("/images")
    print(NEXT.format(binary=short(BINARY), python=python, data=data))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")))
