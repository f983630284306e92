"""Kernelspecs that nobody made for us, installed in a live sandbox by its owner: over files where
their kernel is known to take them, over ports of the sandbox's loopback otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.jupyter import Jupyter, Kernel, kinds, printed, result

KERNELS = "/root/.local/share/jupyter/kernels"
# A kernel that takes no socket files, as many do: stock ipykernel behind a command of its own.
ONLY_PORTS = """\
import json, sys
from ipykernel.kernelapp import launch_new_instance
sys.exit('no ports') if json.load(open(sys.argv[1]))['transport'] != 'tcp' else None
launch_new_instance(argv=['-f', sys.argv[1]])
"""
SPECS = {
    "ports": ["python3", f"{KERNELS}/ports/run.py", "{connection_file}"],
    "stock": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
}
TRANSPORTS = {"ports": "tcp", "stock": "ipc"}
BUFFERS = """\
from comm import create_comm
create_comm(target_name='story', data={'a': 1}, buffers=[b'\\xff\\xfe', b''])"""


@pytest.fixture(scope="module")
def owned(server) -> Iterator[Sandbox]:
    sandbox = Sandbox.create(timeout=900)
    sandbox.files.write(f"{KERNELS}/ports/run.py", ONLY_PORTS, user="root")
    for name, argv in SPECS.items():
        spec = {"argv": argv, "display_name": name, "language": "python"}
        sandbox.files.write(f"{KERNELS}/{name}/kernel.json", json.dumps(spec), user="root")
    yield sandbox
    sandbox.kill()


@pytest.mark.parametrize("name", SPECS)
def test_a_kernelspec_of_the_owner(jupyter: Jupyter, owned: Sandbox, name: str):
    kernel = jupyter.start(name=name, sandbox=owned.sandbox_id)
    assert kernel.model["name"] == name
    with kernel.connect() as channels, kernel.connect(v1=False) as other:
        other.finish(other.send("kernel_info_request", {}))
        messages = channels.run("print('out'); 6 * 7")
        assert printed(messages) == "out\n" and result(messages) == "42"
        seen = other.until(lambda m: m["header"]["msg_type"] == "execute_result")
        assert printed(seen) == "out\n", "every client hears it"

        file = "import json; from ipykernel import get_connection_file as f; json.load(open(f()))"
        assert result(channels.run(f"{file}['transport']")) == repr(TRANSPORTS[name])

        parent = channels.execute("print('hi', input('who? '))", allow_stdin=True)
        channels.until(lambda m: m["header"]["msg_type"] == "input_request")
        channels.send("input_reply", {"value": "soul", "status": "ok"}, "stdin")
        assert printed(channels.finish(parent)) == "hi soul\n"

        opened = next(m for m in channels.run(BUFFERS) if m["header"]["msg_type"] == "comm_open")
        assert opened["buffers"] == [b"\xff\xfe", b""]
        assert len(result(channels.run("'x' * 20_000_000"))) == 20_000_002

        parent = channels.execute("import time\nprint('begun', flush=True)\ntime.sleep(600)")
        channels.until(lambda m: m["header"]["msg_type"] == "stream")
        kernel.interrupt()
        raised = next(m for m in channels.finish(parent) if m["header"]["msg_type"] == "error")
        assert raised["content"]["ename"] == "KeyboardInterrupt"

        channels.run("kept = 1")
        assert kernel.restart()["execution_state"] == "idle"
        assert "error" in kinds(channels.run("kept"))
    assert kernel.end() == 204


def test_it_is_a_language_for_e2b_clients_too(jupyter: Jupyter, owned: Sandbox):
    assert owned.run_code("x = 6\nx * 7", language="ports").text == "42"
    listed = jupyter.json("GET", "/api/kernels")
    model = next(one for one in listed if one["name"] == "ports" and one["sandbox"] == owned.sandbox_id)
    with Kernel(jupyter, model["id"], model).connect() as channels:
        assert channels.text("x") == "6"


def test_one_that_is_not_there_is_named(jupyter: Jupyter, owned: Sandbox):
    answer = jupyter.ask("POST", "/api/kernels", {"name": "cobol", "sandbox": owned.sandbox_id})
    assert answer.status == 404 and "cobol" in answer.json()["message"]
