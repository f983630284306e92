"""What a sandbox uses, as its owner is told (contract 3.7, row 40) and as it is told inside (4.6)."""

from __future__ import annotations

import datetime

import pytest
from e2b_code_interpreter import AsyncSandbox, Sandbox
from harness.patience import eventually
from harness.wire import ENVD_PORT

MIB = 1 << 20
# How long a loop may take to get a share of the processor, when others want it too.
BUSY_SECONDS = 120
FIELDS = {
    *("timestamp", "timestampUnix", "cpuCount", "cpuUsedPct", "memUsed", "memTotal", "memCache"),
    *("diskUsed", "diskTotal"),
}


def newest(sandbox: Sandbox):
    return eventually(lambda: sandbox.get_metrics())[-1]


def test_a_young_sandbox_is_told_of_what_it_has(sandbox):
    metric, info = newest(sandbox), sandbox.get_info()
    assert metric.cpu_count == info.cpu_count
    assert metric.mem_total == info.memory_mb * MIB
    assert 0 < metric.mem_used < metric.mem_total
    assert 0 <= metric.cpu_used_pct <= 100
    assert 0 < metric.disk_used < metric.disk_total
    assert info.started_at <= metric.timestamp


def test_memory_disk_and_processor_show_up_when_they_are_used(sandbox):
    before = newest(sandbox)
    sandbox.run_code("held = bytearray(b'x' * (200 << 20))")
    sandbox.commands.run("dd if=/dev/urandom of=/home/user/large bs=1M count=64 && sync /home/user/large")
    eventually(lambda: newest(sandbox).mem_used > before.mem_used + 150 * MIB)
    eventually(lambda: newest(sandbox).disk_used > before.disk_used + 60 * MIB)
    busy = sandbox.commands.run("while :; do :; done", background=True, timeout=0)
    # One core of two is half of all. A machine that is full gives it far less.
    eventually(lambda: newest(sandbox).cpu_used_pct > 3, BUSY_SECONDS)
    busy.kill()
    sandbox.run_code("del held")
    sandbox.files.remove("/home/user/large")
    eventually(lambda: newest(sandbox).mem_used < before.mem_used + 100 * MIB)
    eventually(lambda: newest(sandbox).disk_used < before.disk_used + 30 * MIB)


def test_a_range_of_time_is_kept_to(sandbox, wire):
    metrics = eventually(lambda: len(found := sandbox.get_metrics()) > 3 and found)
    times = [metric.timestamp for metric in metrics]
    assert times == sorted(times)
    second = metrics[1].timestamp.replace(microsecond=0)
    some = sandbox.get_metrics(start=second, end=second)
    assert some and all(metric.timestamp.replace(microsecond=0) == second for metric in some)
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    assert sandbox.get_metrics(start=long_ago, end=long_ago + datetime.timedelta(hours=1)) == []
    path = f"/sandboxes/{sandbox.sandbox_id}/metrics"
    assert set(wire.api("GET", path).json()[0]) == FIELDS
    for query in ("start=2&end=1", "start=soon"):
        answer = wire.api("GET", f"{path}?{query}")
        assert (answer.status, answer.json()["code"]) == (400, 400)
    assert wire.api("GET", "/sandboxes/nonexistingsandbox/metrics").status == 404
    several = wire.api("GET", f"/sandboxes/metrics?sandbox_ids={sandbox.sandbox_id},nonexistingsandbox")
    found = several.json()["sandboxes"]
    assert {id: set(metric) for id, metric in found.items()} == {sandbox.sandbox_id: FIELDS}


@pytest.mark.anyio
async def test_the_asynchronous_client_reads_them_too(sandbox):
    again = await AsyncSandbox.connect(sandbox.sandbox_id)
    assert (await again.get_metrics())[-1].mem_total == newest(sandbox).mem_total


def test_inside_the_same_limits_are_told(sandbox, wire):
    detail = wire.api("GET", f"/sandboxes/{sandbox.sandbox_id}").json()
    token = {"X-Access-Token": detail["envdAccessToken"]}
    inside = wire.data(sandbox.sandbox_id, ENVD_PORT, "GET", "/metrics", **token).json()
    outside = newest(sandbox)
    assert inside["cpu_count"] == outside.cpu_count == detail["cpuCount"]
    assert inside["mem_total"] == outside.mem_total == detail["memoryMB"] * MIB
    assert 0 < inside["mem_used"] <= inside["mem_total"]
    assert 0 < inside["disk_total"] <= detail["diskSizeMB"] * MIB
