"""Names below a domain of our own, for programs that must not be changed.

A stock client makes host names of sandboxes that no name server knows. So a story runs it in a
mount namespace of its own, in which the resolver's configuration names a small server of ours.
Nothing changes for anybody else on the machine.
"""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

# The port that resolvers insist on. Loopback is a whole network, so it is free on some address.
PORT = 53
RESOLVER = {
    "/etc/resolv.conf": "nameserver {address}\noptions timeout:2 attempts:5\n",
    # Without what may stand before `dns` on a desktop, which would ask somebody else.
    "/etc/nsswitch.conf": "hosts: files dns\n",
}
A, NO_SUCH_NAME = 1, 3


class Names:
    """A name server: whatever is below the domain is this machine, everything else is nothing."""

    def __init__(self, domain: str):
        self.domain = domain
        self.asked: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.2)
        self._closed = threading.Event()
        address = self._bind()
        self._directory = tempfile.TemporaryDirectory(prefix="soulbox-names-")
        for path, text in RESOLVER.items():
            (Path(self._directory.name) / Path(path).name).write_text(text.format(address=address))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()
        self._directory.cleanup()

    def _bind(self) -> str:
        """Takes an address of loopback on which nobody is a name server."""
        for _ in range(20):
            address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.53"
            try:
                self._socket.bind((address, PORT))
                return address
            except OSError:
                continue
        raise OSError(f"port {PORT} is taken on every address of loopback that was tried")

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                question, sender = self._socket.recvfrom(512)
                self._socket.sendto(self._answer(question), sender)
            except (TimeoutError, IndexError, UnicodeDecodeError):
                continue

    def _answer(self, question: bytes) -> bytes:
        """RFC 1035, section 4: one question, and at most one address."""
        end, labels = 12, []
        while length := question[end]:
            labels.append(question[end + 1 : end + 1 + length].decode().lower())
            end += 1 + length
        name, kind = ".".join(labels), question[end + 2]
        ours = name == self.domain or name.endswith("." + self.domain)
        if ours:
            self.asked.add(name)
        answers = int(ours and kind == A)
        flags = 0x8180 | (0 if ours else NO_SUCH_NAME)
        head = question[:2] + struct.pack("!HHHHH", flags, 1, answers, 0, 0)
        address = struct.pack("!HHHIH", 0xC00C, A, 1, 5, 4) + socket.inet_aton("127.0.0.1")
        return head + question[12 : end + 5] + address * answers

    def run(
        self, command: list[str], environment: dict[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program that finds these names."""
        binds = [f'mount --bind "$0/{Path(path).name}" {path}' for path in RESOLVER if Path(path).exists()]
        script = " && ".join([*binds, 'exec "$@"'])
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self._directory.name]
        return subprocess.run(
            [*inside, *command], env=environment, capture_output=True, text=True, timeout=seconds
        )
