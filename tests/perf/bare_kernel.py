"""The yardstick: the same kernel through jupyter_client, in the image's files, without a sandbox.

Runs inside `tests/bare_image.py`, with the clone's `kernels/python` beside it, and prints one
JSON object of raw samples in seconds. Cells come as arguments, so that both sides run the same.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

KERNELS = Path("/mnt/bound/kernels")
# A start on a busy two-core machine takes a few seconds.
TIMEOUT_SECONDS = 120


def started(language: str) -> tuple[KernelManager, object]:
    manager = KernelManager(transport="tcp" if language == "python" else "ipc")
    manager._kernel_spec = kernelspec(language)
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=TIMEOUT_SECONDS)
    return manager, client


def kernelspec(language: str) -> KernelSpec:
    if language == "python":
        command = [sys.executable, str(KERNELS / "python/launch.py"), "-f", "{connection_file}"]
        return KernelSpec(argv=command, language=language)
    spec = json.loads((KERNELS / language / "kernel.json").read_text())
    command = [word.replace("{resource_dir}", str(KERNELS / language)) for word in spec["argv"]]
    return KernelSpec(argv=command, language=language, env=spec.get("env", {}))


def run(client, code: str) -> int:
    """Runs a cell to its end and gives the number of bytes that it printed."""
    printed = 0

    def count(message) -> None:
        nonlocal printed
        if message["msg_type"] == "stream":
            printed += len(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=count, timeout=TIMEOUT_SECONDS)
    assert reply["content"]["status"] == "ok", reply["content"]
    return printed


def main() -> None:
    wanted = json.loads(sys.argv[1])
    language = wanted.get("language", "python")
    samples: dict[str, list[float]] = {"first": [], "next": [], "output": []}
    for _ in range(wanted["starts"]):
        begun = time.perf_counter()
        manager, client = started(language)
        run(client, wanted["cell"])
        samples["first"].append(time.perf_counter() - begun)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    manager, client = started(language)
    run(client, wanted["cell"])
    for _ in range(wanted["cells"]):
        begun = time.perf_counter()
        run(client, wanted["cell"])
        samples["next"].append(time.perf_counter() - begun)
    for _ in range(wanted["outputs"]):
        begun = time.perf_counter()
        printed = run(client, wanted["output"])
        samples["output"].append(time.perf_counter() - begun)
        assert printed == wanted["output_bytes"], printed
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    print(json.dumps(samples))


if __name__ == "__main__":
    main()
