// What a sandbox uses, as the stock JavaScript client tells it. Contract: section 3.7.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { withSandbox } from './sdk.mjs'

test('metrics come within seconds and keep to a range', async () => {
  await withSandbox({ template: 'base', timeoutMs: 120_000 }, async (sandbox) => {
    let metrics = []
    for (let tries = 0; metrics.length === 0 && tries < 60; tries += 1) {
      metrics = await sandbox.getMetrics()
      if (metrics.length === 0) await sleep(500)
    }
    const [first] = metrics
    const info = await sandbox.getInfo()
    assert.equal(first.cpuCount, info.cpuCount)
    assert.equal(first.memTotal, info.memoryMB * 1024 * 1024)
    assert.ok(first.memUsed > 0 && first.memUsed < first.memTotal)
    assert.ok(first.diskUsed >= 0 && first.diskUsed < first.diskTotal)
    assert.ok(first.cpuUsedPct >= 0 && first.cpuUsedPct <= 100)
    assert.ok(first.timestamp >= info.startedAt)
    const past = new Date(Date.UTC(2020, 0, 1))
    assert.deepEqual(await sandbox.getMetrics({ start: past, end: past }), [])
  })
})
