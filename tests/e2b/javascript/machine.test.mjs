// Files and shell commands through the stock JavaScript client.
// Contract: sections 4.3, 4.4, 4.7 and 4.8, rows 11 to 15, 18, 19, 21 and 24 of section 8.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'

import { CommandExitError, LIFETIME_MS, NotFoundError, Sandbox, TimeoutError } from './sdk.mjs'

const FIVE_MEGABYTES = 5 << 20

let sandbox
before(async () => {
  sandbox = await Sandbox.create({ timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

test('text and bytes come back', async () => {
  const written = await sandbox.files.write('hello.txt', 'Grüße ✓')
  assert.equal(written.path, '/home/user/hello.txt')
  assert.equal(await sandbox.files.read('hello.txt'), 'Grüße ✓')

  const data = randomBytes(FIVE_MEGABYTES)
  await sandbox.files.write('data.bin', data.buffer.slice(data.byteOffset, data.byteOffset + data.length))
  const back = await sandbox.files.read('data.bin', { format: 'bytes' })
  assert.ok(Buffer.from(back).equals(data))
})

test('an empty file is empty', async () => {
  await sandbox.files.write('empty', '')
  assert.equal(await sandbox.files.read('empty'), '')
})

test('many files answer in order', async () => {
  const files = [0, 1, 2].map((n) => ({ path: `many/${n}.txt`, data: `text ${n}` }))
  const written = await sandbox.files.write(files)
  assert.deepEqual(written.map((file) => file.path), files.map((file) => `/home/user/${file.path}`))
  assert.equal(await sandbox.files.read('many/2.txt'), 'text 2')
})

test('a missing file is not found', async () => {
  await assert.rejects(sandbox.files.read('nowhere.txt'), NotFoundError)
})

test('a signed download needs nothing else', async () => {
  await sandbox.files.write('signed.txt', 'for everybody')
  const url = await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60 })
  assert.equal(await (await fetch(url)).text(), 'for everybody')
  const expired = await fetch(
    await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: -120 }),
  )
  assert.equal(expired.status, 401)
  assert.deepEqual(await expired.json(), { code: 401, message: 'signature is already expired' })
})

test('a command answers with output and exit code', async () => {
  const done = await sandbox.commands.run('echo out; echo err >&2; whoami; pwd')
  assert.deepEqual([done.stdout, done.stderr, done.exitCode], ['out\nuser\n/home/user\n', 'err\n', 0])
  await assert.rejects(sandbox.commands.run('echo why >&2; exit 7'), (error) => {
    assert.ok(error instanceof CommandExitError)
    assert.deepEqual([error.exitCode, error.stderr], [7, 'why\n'])
    return true
  })
})

test('a background command is waited for', async () => {
  const handle = await sandbox.commands.run('sleep 2; echo done', { background: true })
  const running = await sandbox.commands.list()
  assert.ok(running.some((process) => process.pid === handle.pid))
  assert.equal((await handle.wait()).stdout, 'done\n')
})

test('a command timeout is a timeout', async () => {
  await assert.rejects(sandbox.commands.run('sleep 60', { timeoutMs: 2_000 }), TimeoutError)
})

test('many calls at once do not block each other', async () => {
  const slow = sandbox.commands.run('sleep 4; echo slept')
  const begun = Date.now()
  const quick = await Promise.all([0, 1, 2, 3].map((n) => sandbox.commands.run(`echo ${n}`)))
  assert.deepEqual(quick.map((done) => done.stdout), ['0\n', '1\n', '2\n', '3\n'])
  assert.ok(Date.now() - begun < 4_000, 'quick commands waited for the slow one')
  assert.equal((await slow).stdout, 'slept\n')
})
