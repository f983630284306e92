// A sandbox is made, found, kept, and ended through the stock JavaScript client.
// Contract: sections 3.1 to 3.6, rows 2 to 6 and 27 of section 8.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { AuthenticationError, NotFoundError, Sandbox, withSandbox } from './sdk.mjs'

async function found(options) {
  const pages = Sandbox.list(options)
  const ids = []
  while (pages.hasNext) for (const item of await pages.nextItems()) ids.push(item.sandboxId)
  return ids
}

test('a sandbox runs until it is killed', async () => {
  await withSandbox({}, async (sandbox) => {
    assert.match(sandbox.sandboxId, /^i[a-z0-9]{20}$/)
    assert.equal(await sandbox.isRunning(), true)
    assert.equal(await Sandbox.kill(sandbox.sandboxId), true)
    assert.equal(await sandbox.isRunning(), false)
    assert.equal(await Sandbox.kill(sandbox.sandboxId), false)
  })
})

test('killing an unknown sandbox says false', async () => {
  assert.equal(await Sandbox.kill('nonexistingsandbox'), false)
})

test('info tells what was asked for', async () => {
  const metadata = { story: randomUUID(), 'a b': 'c&d=e ü' }
  await withSandbox({ template: 'base', metadata, timeoutMs: 120_000 }, async (sandbox) => {
    const info = await sandbox.getInfo()
    assert.equal(info.sandboxId, sandbox.sandboxId)
    assert.equal(info.name, 'base')
    assert.deepEqual(info.metadata, metadata)
    assert.equal(info.state, 'running')
    assert.ok(Math.abs(info.endAt - info.startedAt - 120_000) < 5_000)
    assert.deepEqual(await found({ query: { metadata } }), [sandbox.sandboxId])
  })
})

test('info of a killed sandbox is not found', async () => {
  const id = await withSandbox({ template: 'base' }, (sandbox) => sandbox.sandboxId)
  await assert.rejects(Sandbox.getInfo(id), NotFoundError)
})

test('connect never shortens and may extend', async () => {
  await withSandbox({ template: 'base', timeoutMs: 300_000 }, async (sandbox) => {
    const end = (await sandbox.getInfo()).endAt.getTime()
    await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 30_000 })
    assert.equal((await sandbox.getInfo()).endAt.getTime(), end)
    await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 600_000 })
    assert.ok((await sandbox.getInfo()).endAt.getTime() > end + 250_000)
  })
})

test('a connected client works on the same kernel', async () => {
  await withSandbox({}, async (first) => {
    await first.runCode('kept = 41')
    const second = await Sandbox.connect(first.sandboxId)
    assert.equal((await second.runCode('kept + 1')).text, '42')
  })
})

test('connect to an unknown sandbox is not found', async () => {
  await assert.rejects(Sandbox.connect('nonexistingsandbox'), NotFoundError)
})

test('setTimeout may shorten, and nothing ends it now', async () => {
  await withSandbox({ template: 'base' }, async (sandbox) => {
    await sandbox.setTimeout(60_000)
    const left = (await sandbox.getInfo()).endAt - Date.now()
    assert.ok(left > 45_000 && left <= 61_000, `${left} ms left`)
    await sandbox.setTimeout(0)
    const deadline = Date.now() + 10_000
    while ((await sandbox.isRunning()) && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    assert.equal(await sandbox.isRunning(), false)
  })
})

test('pages of one go from the newest to the oldest', async () => {
  const metadata = { story: randomUUID() }
  await withSandbox({ template: 'base', metadata }, async (older) => {
    await withSandbox({ template: 'base', metadata }, async (newer) => {
      const both = [newer.sandboxId, older.sandboxId]
      assert.deepEqual(await found({ query: { metadata }, limit: 1 }), both)
    })
  })
})

test('a wrong key is refused', async () => {
  const apiKey = `e2b_${'0'.repeat(40)}`
  await assert.rejects(Sandbox.create('base', { apiKey }), AuthenticationError)
})

test('an unknown template is named in the error', async () => {
  await assert.rejects(Sandbox.create('no-such-template'), /404.*no-such-template/)
})
