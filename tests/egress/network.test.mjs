// Who may go where, by the network settings of the stock JavaScript client: at create, and while
// the sandbox runs. Contract: section 3.9. The world outside is that of `outside.py`.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Sandbox, withSandbox } from '../e2b/javascript/sdk.mjs'

const ALL = '0.0.0.0/0'
const { name: OPEN, address: ADDRESS, port: PORT } = JSON.parse(process.env.SOULBOX_OUTSIDE)
// curl: the proxy's port is closed; a name was not found.
const OFF = ['failed 7', 'failed 6']

/** Status and body of a page outside, or how curl failed. */
async function fetch(sandbox, host) {
  const curl = `curl -sS -m 60 -w ' %{http_code}' http://${host}:${PORT}/ || echo "failed $?"`
  const { stdout } = await sandbox.commands.run(curl, { timeoutMs: 90_000 })
  const failed = stdout.match(/failed \d+/)
  return failed ? failed[0] : stdout.trim().split(' ').at(-1)
}

test('a sandbox reaches out unless it is told not to', async () => {
  await withSandbox({}, async (sandbox) => assert.equal(await fetch(sandbox, OPEN), '200'))
  await withSandbox({ allowInternetAccess: false }, async (sandbox) => {
    assert.ok(OFF.includes(await fetch(sandbox, OPEN)))
    assert.ok(OFF.includes(await fetch(sandbox, ADDRESS)))
  })
})

test('what is allowed beats what is denied, by name and by address', async () => {
  const network = { allowOut: [OPEN], denyOut: ({ allTraffic }) => [allTraffic] }
  await withSandbox({ network }, async (sandbox) => {
    assert.equal(await fetch(sandbox, OPEN), '200')
    assert.equal(await fetch(sandbox, ADDRESS), '403')
    assert.equal(await fetch(sandbox, 'closed.test'), '403')
    const info = await sandbox.getInfo()
    assert.deepEqual(info.network?.allowOut, [OPEN])
    assert.deepEqual(info.network?.denyOut, [ALL])
  })
})

test('rules change while it runs, and what is left out is cleared', async () => {
  await withSandbox({}, async (sandbox) => {
    await sandbox.updateNetwork({ denyOut: [ADDRESS] })
    assert.equal(await fetch(sandbox, OPEN), '403')
    await sandbox.updateNetwork({ allowInternetAccess: false })
    assert.ok(OFF.includes(await fetch(sandbox, OPEN)))
    await Sandbox.updateNetwork(sandbox.sandboxId, {})
    assert.equal(await fetch(sandbox, OPEN), '200')
  })
})

test('a rule that makes no sense is refused', async () => {
  const network = { denyOut: ['no address'] }
  await assert.rejects(Sandbox.create({ network }), /invalid denied CIDR no address/)
})
