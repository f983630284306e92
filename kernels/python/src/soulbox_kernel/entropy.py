"""Fresh random state for a process that was not started for its present owner.

Sandboxes come out of a pool, from a snapshot or from a fork, so many of them hold the same state
of every generator that was seeded at import. What draws from the operating system each time
(`secrets`, `uuid4`, `numpy.random.default_rng()`) needs no help.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile


def reseed(entropy: str) -> None:
    """Mixes the given text with the system's own randomness into all seeded generators.

    The system's randomness alone would do on an honest machine; a restored snapshot may not have
    gathered any yet, which is why the claimer sends some along.
    """
    seed = hashlib.sha512(entropy.encode(errors="surrogatepass") + os.urandom(64)).digest()
    random.seed(seed)
    # The names of temporary files come from a generator of their own, made at first use.
    tempfile._name_sequence = None  # type: ignore[attr-defined]
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        words = [int.from_bytes(seed[at : at + 4], "little") for at in range(0, len(seed), 4)]
        numpy_random.seed(words)


def reseed_after_fork(entropy: str) -> None:
    """The same in a process that was just forked; its siblings share one more secret."""
    reseed(entropy)
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process().authkey = os.urandom(32)
