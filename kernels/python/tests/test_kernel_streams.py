"""Output: nothing lost, whatever the reader does, and memory that stays flat."""

from __future__ import annotations

import re
import time
from pathlib import Path

from real_kernel import RealKernel

MEGABYTE = 1 << 20


def peak_memory(kernel: RealKernel) -> int:
    """The most memory that the kernel's process has ever held, in bytes."""
    status = Path(f"/proc/{kernel.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


def test_one_print_is_one_message(kernel: RealKernel) -> None:
    assert [c["text"] for c in kernel.run("print('x')").of("stream")] == ["x\n"]


def test_output_comes_while_the_cell_runs(kernel: RealKernel) -> None:
    running = kernel.begin("import time\nprint('now')\ntime.sleep(2)")
    started = time.monotonic()
    kernel.wait_for_output("now")
    assert time.monotonic() - started < 1
    kernel.finish(running)


def test_a_reader_that_pauses_misses_nothing(kernel: RealKernel) -> None:
    running = kernel.begin("for i in range(20_000): print(i, flush=True)\n'end'")
    time.sleep(2)
    run = kernel.finish(running)
    assert run.stdout.split() == [str(number) for number in range(20_000)]
    assert run.text == "'end'"


def test_a_line_of_any_length_takes_little_memory(kernel: RealKernel) -> None:
    kernel.run("line = 'x' * (64 << 20)")
    before = peak_memory(kernel)
    run = kernel.run("print(line)")
    assert len(run.stdout) == 64 * MEGABYTE + 1
    assert max(len(c["text"]) for c in run.of("stream")) <= MEGABYTE // 2
    assert peak_memory(kernel) - before < 48 * MEGABYTE


def test_fast_output_to_a_slow_reader_takes_little_memory(kernel: RealKernel) -> None:
    kernel.run("line = 'x' * 999")
    before = peak_memory(kernel)
    running = kernel.begin("for _ in range(100_000): print(line)")
    time.sleep(2)
    run = kernel.finish(running)
    assert len(run.stdout) == 100_000_000
    assert peak_memory(kernel) - before < 64 * MEGABYTE


def test_what_was_printed_is_not_kept(kernel: RealKernel) -> None:
    before = peak_memory(kernel)
    for start in range(5):
        kernel.run(f"for i in range({start}00_000, {start}20_000): print(str(i) * 166)")
    assert peak_memory(kernel) - before < 40 * MEGABYTE


def test_a_cell_that_waits_for_its_reader_can_be_interrupted(kernel: RealKernel) -> None:
    running = kernel.begin("line = 'x' * 99999\nwhile True: print(line)")
    time.sleep(6)
    kernel.interrupt()
    run = kernel.finish(running)
    assert run.error["ename"] == "KeyboardInterrupt"
    assert kernel.run("1").text == "1"


def test_output_of_child_processes_is_whole_at_the_end_of_the_cell(kernel: RealKernel) -> None:
    kernel.run("import subprocess, sys")
    for size in (1, 100_000):
        child = f"import sys; print('€' * {size}); print('e', file=sys.stderr)"
        run = kernel.run(f"_ = subprocess.run([sys.executable, '-c', {child!r}])")
        assert run.stdout.count("€") == size
        assert "\ufffd" not in run.stdout
        assert "".join(c["text"] for c in run.of("stream") if c["name"] == "stderr") == "e\n"


def test_a_child_that_goes_on_writing_does_not_hold_the_cell(kernel: RealKernel) -> None:
    started = time.monotonic()
    kernel.run("child = subprocess.Popen(['yes'])\nimport time; time.sleep(0.1)")
    kernel.run("child.kill()")
    assert time.monotonic() - started < 10
