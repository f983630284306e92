// Files through the stock JavaScript client in every shape: streams, blobs, gzip, signed URLs,
// metadata, links, ranges, names.
// Contract: sections 4.5, 4.7 and 4.8, rows 17 to 21 and 24 of section 8.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'

import { InvalidArgumentError, LIFETIME_MS, NotFoundError, Sandbox } from './sdk.mjs'

const TWO_MEGABYTES = 2 << 20

let sandbox
before(async () => {
  sandbox = await Sandbox.create('base', { timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

async function whole(stream) {
  return Buffer.from(await new Response(stream).arrayBuffer())
}

test('streams and blobs go in and come out', async () => {
  const data = randomBytes(TWO_MEGABYTES)
  await sandbox.files.write('blob.bin', new Blob([data]))
  assert.ok((await whole(await sandbox.files.read('blob.bin', { format: 'stream' }))).equals(data))
  await sandbox.files.write('stream.bin', new Blob([data]).stream())
  const blob = await sandbox.files.read('stream.bin', { format: 'blob' })
  assert.ok(Buffer.from(await blob.arrayBuffer()).equals(data))
})

test('gzip works in both directions, and without it afterwards', async () => {
  const text = 'many times the same '.repeat(10_000)
  await sandbox.files.write('packed.txt', text, { gzip: true })
  assert.equal(await sandbox.files.read('packed.txt', { gzip: true }), text)
  assert.equal(await sandbox.files.read('packed.txt'), text)
  const many = [1, 2, 3].map((n) => ({ path: `packed/${n}`, data: text + n }))
  assert.equal((await sandbox.files.write(many, { gzip: true })).length, 3)
  assert.equal(await sandbox.files.read('packed/3'), text + 3)
})

test('empty files and lists of files are no special case', async () => {
  await sandbox.files.write('empty', '')
  assert.equal((await sandbox.files.read('empty', { format: 'bytes' })).length, 0)
  assert.equal((await whole(await sandbox.files.read('empty', { format: 'stream' }))).length, 0)
  assert.deepEqual(await sandbox.files.write([]), [])
})

test('metadata is kept by a rename, shown by a listing and cleared by a plain write', async () => {
  await sandbox.files.write('tagged/a.txt', 'x', { metadata: { Author: 'me', kind: 'two words' } })
  const kept = { author: 'me', kind: 'two words' }
  assert.deepEqual((await sandbox.files.getInfo('tagged/a.txt')).metadata, kept)
  await sandbox.files.rename('tagged/a.txt', 'tagged/b.txt')
  assert.deepEqual((await sandbox.files.list('tagged')).map((one) => one.metadata), [kept])
  await sandbox.files.write('tagged/b.txt', 'y')
  assert.equal((await sandbox.files.getInfo('tagged/b.txt')).metadata, undefined)
})

test('an entry tells type, owner, permissions and where a link leads', async () => {
  await sandbox.commands.run('mkdir -p links/dir; echo hi > links/real; cd links; ln -s real link; ln -s dir to-dir')
  const entries = Object.fromEntries((await sandbox.files.list('links')).map((one) => [one.name, one]))
  const { type, permissions, owner, group, symlinkTarget } = entries.link
  assert.deepEqual([type, owner, group, symlinkTarget], ['file', 'user', 'user', '/home/user/links/real'])
  assert.equal(permissions, 'Lrwxrwxrwx')
  assert.equal(entries['to-dir'].type, 'dir')
  assert.deepEqual([entries.real.size, entries.real.mode, entries.real.permissions], [3, 0o644, '-rw-r--r--'])
})

test('mistakes have their types', async () => {
  await sandbox.files.write('file', 'x')
  await assert.rejects(sandbox.files.read('/tmp'), InvalidArgumentError)
  await assert.rejects(sandbox.files.write('/tmp', 'x'), InvalidArgumentError)
  await assert.rejects(sandbox.files.list('file'), InvalidArgumentError)
  await assert.rejects(sandbox.files.list('no/where'), NotFoundError)
  await assert.rejects(sandbox.files.rename('no/where', 'x'), NotFoundError)
  await assert.rejects(sandbox.files.read('~other/x'), InvalidArgumentError)
  assert.equal(await sandbox.files.makeDir('made'), true)
  assert.equal(await sandbox.files.makeDir('made'), false)
  assert.equal(await sandbox.files.exists('no/where'), false)
  await sandbox.files.remove('no/where')
})

test('a signed upload needs nothing else, for any user', async () => {
  for (const user of ['user', 'root']) {
    const url = await sandbox.uploadUrl('signed.txt', { user, useSignatureExpiration: 60 })
    const form = new FormData()
    form.append('file', new Blob(['sent']), 'any-name')
    assert.equal((await fetch(url, { method: 'POST', body: form })).status, 200)
    assert.equal(await sandbox.files.read('signed.txt', { user }), 'sent')
  }
  const url = await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60 })
  assert.equal((await fetch(url.replace('signed.txt', 'file'))).status, 401)
})

test('a part of a file can be asked for', async () => {
  await sandbox.files.write('digits', '0123456789')
  const url = await sandbox.downloadUrl('digits', { useSignatureExpiration: 60 })
  const part = await fetch(url, { headers: { Range: 'bytes=2-4' } })
  assert.deepEqual([part.status, await part.text()], [206, '234'])
  assert.equal(part.headers.get('content-range'), 'bytes 2-4/10')
  assert.equal((await fetch(url, { headers: { Range: 'bytes=99-' } })).status, 416)
})
