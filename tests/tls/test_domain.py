"""`E2B_DOMAIN` and `E2B_API_KEY` alone: stock clients over HTTPS, each generation of each language."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from harness.javascript import CACHE, GENERATIONS

HERE = Path(__file__).parent
CLIENT_SECONDS = 300


def client(language: str, generation: str) -> tuple[list[str], dict[str, str]]:
    if language == "python":
        return [str(CACHE / f"venvs/{generation}/bin/python"), str(HERE / "client.py")], {}
    return [str(CACHE / "node"), str(HERE / "client.mjs")], {"SOULBOX_NPM": str(CACHE / "npm" / generation)}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_domain_and_a_key_are_all_that_a_client_needs(domain, language, generation):
    command, extra = client(language, generation)
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = domain.names.run(command, {**plain, **extra, **domain.settings()}, CLIENT_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    sandbox = seen.pop("sandbox")
    assert seen == {
        "text": "42",
        "command": "out\n",
        "file": "from inside",
        "signed": "from inside",
        "host": f"8080-{sandbox}.box.test:{domain.port}",
        "page": "from inside",
        "again": "2",
        "running": False,
    }
    wanted = {
        f"{host}.box.test" for host in ("api", f"49983-{sandbox}", f"49999-{sandbox}", f"8080-{sandbox}")
    }
    assert wanted <= domain.names.asked
