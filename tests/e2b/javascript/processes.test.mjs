// Processes and root's rights through the stock JavaScript client: later connections, standard
// input, kills, variables, users, output that nobody reads, and `sudo`.
// Contract: sections 4.3 and 4.4, rows 11 to 16 of section 8.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import {
  AuthenticationError,
  CommandExitError,
  InvalidArgumentError,
  LIFETIME_MS,
  NotFoundError,
  Sandbox,
  TimeoutError,
} from './sdk.mjs'

const MEGABYTE = 1 << 20

let sandbox
before(async () => {
  sandbox = await Sandbox.create('base', { timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

/** What a command that should fail rejected with. */
async function failure(promise) {
  let rejected
  await assert.rejects(promise, (error) => {
    rejected = error
    return error instanceof CommandExitError
  })
  return rejected
}

test('several clients watch one command, and a late one learns its end', async () => {
  const first = await sandbox.commands.run('read go; echo one; exit 3', { background: true, stdin: true })
  const second = await sandbox.commands.connect(first.pid)
  await sandbox.commands.sendStdin(first.pid, 'go\n')
  for (const handle of [first, second]) {
    const error = await failure(handle.wait())
    assert.deepEqual([error.stdout, error.exitCode, error.error], ['one\n', 3, 'exit status 3'])
  }
  const late = await failure((await sandbox.commands.connect(first.pid)).wait())
  assert.deepEqual([late.stdout, late.exitCode], ['', 3])
  await assert.rejects(sandbox.commands.connect(999_999), NotFoundError)
})

test('a command outlives the client that left it', async () => {
  const left = await sandbox.commands.run('read go; echo later', { background: true, stdin: true })
  await left.disconnect()
  const again = await sandbox.commands.connect(left.pid)
  await sandbox.commands.sendStdin(left.pid, 'go\n')
  assert.equal((await again.wait()).stdout, 'later\n')
})

test('standard input is written, closed and counted', async () => {
  const handle = await sandbox.commands.run('cat; echo end', { background: true, stdin: true })
  await handle.sendStdin('typed !@#$%^&*()_+ ünïcödé\n')
  await handle.closeStdin()
  assert.equal((await handle.wait()).stdout, 'typed !@#$%^&*()_+ ünïcödé\nend\n')

  const counter = await sandbox.commands.run('wc -c', { background: true, stdin: true })
  await counter.sendStdin(new Uint8Array(MEGABYTE).fill(120))
  await counter.closeStdin()
  assert.equal((await counter.wait()).stdout.trim(), String(MEGABYTE))
})

test('a killed command is gone at once', async () => {
  const handle = await sandbox.commands.run('exec sleep 100', { background: true })
  assert.equal(await handle.kill(), true)
  const error = await failure(handle.wait())
  assert.deepEqual([error.exitCode, error.error], [-1, 'signal: killed'])
  await failure(sandbox.commands.run(`kill -0 ${handle.pid}`, { user: 'root' }))
  assert.equal(await sandbox.commands.kill(handle.pid), false)
})

test('a listed command shows how it was started', async () => {
  const started = await sandbox.commands.run('exec sleep 100', {
    background: true,
    envs: { SHOWN: 'yes' },
    cwd: '/tmp',
  })
  const shown = (await sandbox.commands.list()).find((one) => one.pid === started.pid)
  assert.deepEqual([shown.cmd, shown.args, shown.cwd], ['/bin/bash', ['-l', '-c', 'exec sleep 100'], '/tmp'])
  assert.equal(shown.envs.SHOWN, 'yes')
  await started.kill()
})

test('users, variables and directories are those of the call', async () => {
  const run = async (command, options) => (await sandbox.commands.run(command, options)).stdout
  assert.equal(await run('whoami; pwd; echo $HOME', { user: 'root' }), 'root\n/home/user\n/root\n')
  assert.equal(await run('echo $ONLY', { envs: { ONLY: "it's \"$once\"" } }), 'it\'s "$once"\n')
  assert.equal(await run('echo [$ONLY]'), '[]\n')
  await assert.rejects(run('true', { user: 'nobody-here' }), AuthenticationError)
  await assert.rejects(run('true', { cwd: '/no/where' }), InvalidArgumentError)
})

test('much output arrives whole and broken text gives one replacement', async () => {
  let seen = 0
  const done = await sandbox.commands.run("head -c 8388608 /dev/zero | tr '\\0' z; echo err >&2", {
    onStdout: (text) => {
      seen += text.length
    },
  })
  assert.deepEqual([done.stdout.length, seen, done.stderr], [8 * MEGABYTE, 8 * MEGABYTE, 'err\n'])
  const broken = await sandbox.commands.run("head -c 8191 /dev/zero | tr '\\0' a; printf '\\xe2'")
  assert.equal(broken.stdout, 'a'.repeat(8191) + '\ufffd')
})

test('output that nobody reads holds nothing up', async () => {
  const left = await sandbox.commands.run("head -c 20000000 /dev/zero; echo > written", { background: true })
  await left.disconnect()
  await sandbox.commands.run('until [ -e written ]; do sleep 0.1; done')
})

test('the deadline of a command kills it', async () => {
  const timed = sandbox.commands.run('echo $$ > timed; exec sleep 60', { timeoutMs: 2_000 })
  await assert.rejects(timed, TimeoutError)
  const pid = (await sandbox.files.read('timed')).trim()
  // The client's clock has begun a moment before the server's.
  await sandbox.commands.run(`while kill -0 ${pid}; do sleep 0.1; done`, { user: 'root' })
})

test('sudo gives root, passes input and exit codes, and changes users', async () => {
  const run = async (command) => (await sandbox.commands.run(command)).stdout
  assert.equal(await run('sudo whoami; sudo -u user whoami; sudo -i pwd'), 'root\nuser\n/root\n')
  assert.equal(await run("echo typed | sudo sh -c 'cat; id -u'"), 'typed\n0\n')
  assert.equal((await failure(run("sudo sh -c 'exit 7'"))).exitCode, 7)
})
