// Watching directories through the stock JavaScript client, which keeps a stream open.
// Contract: section 4.5, rows 22 and 23 of section 8.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { InvalidArgumentError, LIFETIME_MS, NotFoundError, Sandbox } from './sdk.mjs'

// Events arrive in milliseconds; a busy machine may take this long.
const PATIENCE_MS = 30_000

let sandbox
before(async () => {
  sandbox = await Sandbox.create('base', { timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

/** Watches a directory while something is done, until a file named `last` was written in it. */
async function eventsOf(directory, options, work) {
  const events = []
  let finished
  const finish = new Promise((resolve) => {
    finished = resolve
  })
  const handle = await sandbox.files.watchDir(
    directory,
    (event) => {
      events.push(event)
      if (event.name === 'last' && event.type === 'write') finished()
    },
    { timeoutMs: 0, ...options },
  )
  await work()
  await sandbox.files.write(`${directory}/last`, 'x')
  const timer = setTimeout(finished, PATIENCE_MS)
  await finish
  clearTimeout(timer)
  await handle.stop()
  return events.filter((event) => event.name !== 'last')
}

const told = (events) => events.map((event) => `${event.type} ${event.name}`)

test('a file that is written, renamed and removed', async () => {
  await sandbox.files.makeDir('plain')
  const events = await eventsOf('plain', {}, async () => {
    await sandbox.files.write('plain/a.txt', 'one')
    await sandbox.files.write('plain/a.txt', 'two')
    await sandbox.files.rename('plain/a.txt', 'plain/b.txt')
    await sandbox.files.remove('plain/b.txt')
  })
  assert.deepEqual(told(events), [
    ...['create a.txt', 'chmod a.txt', 'write a.txt'],
    ...['chmod a.txt', 'write a.txt'],
    ...['rename a.txt', 'create b.txt', 'remove b.txt'],
  ])
})

test('a recursive watch covers what is made later, an ordinary one does not', async () => {
  await sandbox.files.makeDir('tree/old')
  const work = async () => {
    await sandbox.files.write('tree/old/leaf', 'x')
    await sandbox.files.write('tree/new/deep/leaf', 'x')
  }
  assert.deepEqual(told(await eventsOf('tree', { recursive: true }, work)), [
    ...['create old/leaf', 'chmod old/leaf', 'write old/leaf'],
    ...['create new', 'chmod new', 'create new/deep', 'chmod new/deep'],
    ...['create new/deep/leaf', 'chmod new/deep/leaf', 'write new/deep/leaf'],
  ])
  await sandbox.files.remove('tree/new')
  assert.deepEqual(told(await eventsOf('tree', {}, work)), ['create new', 'chmod new'])
})

test('entries come along when they are asked for', async () => {
  await sandbox.files.write('described/old.txt', 'x')
  const events = await eventsOf('described', { includeEntry: true }, async () => {
    await sandbox.files.write('described/a.txt', 'four')
    await sandbox.files.remove('described/old.txt')
  })
  const written = events.find((event) => event.type === 'write')
  assert.deepEqual([written.entry.path, written.entry.owner], ['/home/user/described/a.txt', 'user'])
  assert.equal(events.find((event) => event.type === 'remove').entry, undefined)
})

test('only directories that are there can be watched', async () => {
  await sandbox.files.write('a-file', 'x')
  await assert.rejects(sandbox.files.watchDir('a-file', () => {}), InvalidArgumentError)
  await assert.rejects(sandbox.files.watchDir('no/where', () => {}), NotFoundError)
})
