"""Executions and variables on a real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from real_kernel import LAUNCHER, RealKernel

SHOW = "import os; os.environ.get({!r})"


def test_the_plain_cell_and_the_counter(kernel: RealKernel) -> None:
    first = kernel.run("x = 1; x")
    assert first.text == "1"
    assert first.of("execute_input")[0]["execution_count"] == 1
    failed = kernel.run("1 / 0")
    assert failed.reply["execution_count"] == 2
    assert kernel.run("x").of("execute_result")[0]["execution_count"] == 3
    # What runs silently is not counted.
    kernel.run("y = 2", silent=True, store_history=False)
    assert kernel.run("y").reply["execution_count"] == 4


def test_errors_have_no_colours(kernel: RealKernel) -> None:
    run = kernel.run("def f():\n    return 1 / 0\nf()")
    assert run.error["ename"] == "ZeroDivisionError"
    traceback = "\n".join(run.error["traceback"])
    assert "return 1 / 0" in traceback
    assert "\x1b" not in traceback
    syntax = kernel.run("a b")
    assert "\x1b" not in "\n".join(syntax.error["traceback"])
    printed = kernel.run(
        "import traceback\ntry:\n  f()\nexcept Exception:\n  traceback.print_exc()"
    )
    assert "\x1b" not in printed.of("stream")[0]["text"]


def test_long_collections_are_whole(kernel: RealKernel) -> None:
    assert kernel.run("list(range(3000))").text.count(",") == 2999


def test_ipython_syntax_indentation_and_await(kernel: RealKernel) -> None:
    assert kernel.run("    a = 5\n    a").text == "5"
    assert kernel.run("!echo shell").stdout.strip() == "shell"
    assert kernel.run("import asyncio\nawait asyncio.sleep(0)\n6").text == "6"


def test_variables_of_one_execution_are_undone(kernel: RealKernel) -> None:
    assert kernel.environment({"env": {"SET": "sandbox"}}) == {"status": "ok"}
    env = {"SET": "cell", "NEW": "n\n'\"$é"}
    shown = kernel.run("import os; [os.environ['SET'], os.environ['NEW']]", env)
    assert shown.main["application/json"] == ["cell", "n\n'\"$é"]
    assert kernel.run("import os; [os.environ['SET'], 'NEW' in os.environ]").text == (
        "['sandbox', False]"
    )


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "a b", "raise SystemExit", "import asyncio\nawait asyncio.sleep(0)\nnope"],
)
def test_variables_are_undone_after_a_failure(kernel: RealKernel, code: str) -> None:
    assert kernel.run(code, {"GONE": "1"}).reply["status"] == "error"
    assert kernel.run(SHOW.format("GONE")).of("execute_result") == []


def test_variables_reach_children_and_awaits(kernel: RealKernel) -> None:
    assert kernel.run("!echo [$CHILD]", {"CHILD": "c"}).stdout.strip() == "[c]"
    code = "import asyncio, os\nawait asyncio.sleep(0.01)\nos.environ['A']"
    assert kernel.run(code, {"A": "b"}).text == "'b'"


@pytest.mark.parametrize("env", [{"A": 1}, {"": "x"}, {"A": "\0"}, ["A"], "A=1"])
def test_bad_variables_are_an_error_and_the_code_does_not_run(
    kernel: RealKernel, env: object
) -> None:
    kernel.run("ran = False")
    run = kernel.run("ran = True", env)
    assert run.reply["status"] == "error"
    assert run.error["ename"] == "BadEnvironmentError"
    assert kernel.run("ran").text == "False"


def test_environment_requests_on_both_channels(kernel: RealKernel) -> None:
    for channel in ("control", "shell"):
        assert kernel.environment({"env": {"VIA": channel}}, channel) == {"status": "ok"}
        assert kernel.run(SHOW.format("VIA")).text == repr(channel)
    assert kernel.environment({"env": {"VIA": None}}) == {"status": "ok"}
    assert kernel.run(SHOW.format("VIA")).of("execute_result") == []


def test_the_working_directory_and_all_or_nothing(kernel: RealKernel) -> None:
    there = kernel.directory / "there"
    there.mkdir()
    assert kernel.environment({"cwd": str(there)}) == {"status": "ok"}
    assert kernel.run("import os; os.getcwd()").text == repr(str(there))
    refused = kernel.environment({"cwd": str(there / "missing"), "env": {"HALF": "1"}})
    assert (refused["status"], refused["ename"]) == ("error", "FileNotFoundError")
    assert kernel.environment({"env": {"HALF": 1}})["status"] == "error"
    assert kernel.run("import os; 'HALF' in os.environ").text == "False"


def test_a_request_is_answered_while_a_cell_runs(kernel: RealKernel) -> None:
    code = "import os, time\nprint('on', flush=True)\ntime.sleep(1)\nos.environ['LATE']"
    running = kernel.begin(code)
    kernel.wait_for_output("on")
    assert kernel.environment({"env": {"LATE": "1"}}) == {"status": "ok"}
    assert kernel.finish(running).text == "'1'"


def test_entropy_reseeds_what_was_seeded(kernel: RealKernel) -> None:
    code = "import random, numpy\n[random.random(), numpy.random.random()]"
    kernel.run("import random, numpy\nrandom.seed(1); numpy.random.seed(1)")
    first = kernel.run(code).text
    kernel.run("random.seed(1); numpy.random.seed(1)")
    assert kernel.environment({"entropy": "beef"}) == {"status": "ok"}
    second = kernel.run(code).text
    assert set(first[1:-1].split(", ")).isdisjoint(second[1:-1].split(", "))


def test_user_code_sees_a_plain_kernel(kernel: RealKernel) -> None:
    code = "import sys, os; [sys.path, sorted(k for k in os.environ if k.startswith('PYTHON'))]"
    path, variables = kernel.run(code).main["application/json"]
    assert "" in path
    assert not [entry for entry in path if str(LAUNCHER.parent) in entry]
    assert variables == sorted(name for name in os.environ if name.startswith("PYTHON"))
    (kernel.directory / "mine.py").write_text("here = 1")
    kernel.environment({"cwd": str(kernel.directory)})
    assert kernel.run("import mine; mine.here").text == "1"


def test_without_ipykernel_it_says_so_and_exits_with_3() -> None:
    # -S and -I leave the standard library alone.
    command = [sys.executable, "-I", "-S", str(LAUNCHER), "-f", "none"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 3
    assert "no Python kernel" in run.stderr


def interrupted(kernel: RealKernel, code: str) -> tuple[str | None, float]:
    """Interrupts a cell that has printed "on"; returns the name of its error and the seconds."""
    running = kernel.begin(f"import asyncio, time\nprint('on')\n{code}", {"ONLY_HERE": "1"})
    kernel.wait_for_output("on")
    started = time.monotonic()
    kernel.interrupt()
    run = kernel.finish(running)
    took = time.monotonic() - started
    assert kernel.run("import os; 'ONLY_HERE' in os.environ").text == "False"
    return run.reply.get("ename"), took


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("time.sleep(60)", "KeyboardInterrupt"),
        ("while True: pass", "KeyboardInterrupt"),
        ("import subprocess; subprocess.run(['sleep', '60'])", "KeyboardInterrupt"),
        ("await asyncio.sleep(60)", "CancelledError"),
        ("await asyncio.sleep(0)\nwhile True: pass", "KeyboardInterrupt"),
        ("await asyncio.sleep(0)\ntime.sleep(60)", "KeyboardInterrupt"),
    ],
)
def test_an_interrupt_ends_every_kind_of_cell(kernel: RealKernel, code: str, name: str) -> None:
    found, took = interrupted(kernel, code)
    assert found == name
    assert took < 5


def test_an_interrupt_ends_a_shell_command(kernel: RealKernel) -> None:
    # IPython hands it on to the command and goes on with the cell.
    assert interrupted(kernel, "!sleep 60")[1] < 5


def test_a_cell_may_clean_up_after_an_interrupt(kernel: RealKernel) -> None:
    code = "try: time.sleep(60)\nexcept KeyboardInterrupt: time.sleep(0.5); cleaned = True"
    assert interrupted(kernel, code)[0] is None
    assert kernel.run("cleaned").text == "True"


def test_no_interrupt_is_lost(kernel: RealKernel) -> None:
    # Just before a blocking call Python forgets a signal until the call is over.
    for _ in range(40):
        assert interrupted(kernel, "time.sleep(30)")[1] < 5


def test_an_interrupt_between_cells_does_nothing(kernel: RealKernel) -> None:
    kernel.interrupt()
    kernel.signal()
    time.sleep(0.3)
    assert kernel.run("7").text == "7"


def test_interrupts_at_any_moment_lose_no_reply(kernel: RealKernel) -> None:
    for step in range(60):
        running = kernel.begin("sum(range(1000))")
        time.sleep(step * 0.0002)
        kernel.signal()
        run = kernel.finish(running)
        if run.reply["status"] == "error":
            assert run.reply["ename"] == "KeyboardInterrupt"
            assert len(run.of("error")) == 1
        else:
            assert run.text == "499500"
    assert kernel.run("8").text == "8"


def test_input_asks_and_an_interrupt_ends_the_question(kernel: RealKernel) -> None:
    code = "print('before')\nimport getpass\n[input('name? '), getpass.getpass('word? ')]"
    running = kernel.begin(code, allow_stdin=True)
    for prompt, hidden, answer in (("name? ", False, "Ada"), ("word? ", True, "€")):
        question = kernel.client.stdin_channel.get_msg(timeout=60)
        assert question["content"] == {"prompt": prompt, "password": hidden}
        assert question["parent_header"]["msg_id"] == running
        reply = kernel.client.session.msg("input_reply", {"value": answer})
        kernel.client.stdin_channel.send(reply)
    assert kernel.finish(running).text == "['Ada', '€']"
    running = kernel.begin("input()", allow_stdin=True)
    kernel.client.stdin_channel.get_msg(timeout=60)
    kernel.interrupt()
    assert kernel.finish(running).error["ename"] == "KeyboardInterrupt"
    assert kernel.run("input()").error["ename"] == "StdinNotImplementedError"


def test_text_without_utf8_is_shown(kernel: RealKernel) -> None:
    run = kernel.run("print('a\\ud800b'); print('€')\n'\\ud800'")
    assert (run.stdout, run.text) == ("a\ud800b\n€\n", "'\\ud800'")
    assert "error" not in [kind for kind, _ in run.messages]
    shown = kernel.run("from IPython.display import HTML; HTML('\\ud800')")
    assert shown.main["text/html"] == "\ud800"
