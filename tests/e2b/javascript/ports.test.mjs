// A program on a port of a sandbox, started through the stock JavaScript client and reached at
// the host that `getHost` gives. Contract: section 1.5, row 37 of section 8.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { LIFETIME_MS, Sandbox, withSandbox } from './sdk.mjs'

const PORT = 3456
const PATIENCE_MS = 30_000
// A page, events, and a protocol of its own after an upgrade.
const PROGRAM = `
const server = require('http').createServer((request, response) => {
  if (request.url !== '/events') return response.end(request.headers.host)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let number = 0
  const timer = setInterval(() => response.write('data: ' + number++ + '\\n\\n'), 200)
  response.on('close', () => clearInterval(timer))
})
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: shout\\r\\n\\r\\n')
  socket.on('data', (data) => socket.write(data.toString().toUpperCase()))
  socket.on('error', () => {})
})
server.listen(${PORT}, '127.0.0.1')
`

let sandbox
before(async () => {
  sandbox = await Sandbox.create({ timeoutMs: LIFETIME_MS })
  await serve(sandbox)
})
after(() => sandbox?.kill())

async function serve(sandbox) {
  await sandbox.files.write('program.cjs', PROGRAM)
  await sandbox.commands.run('node program.cjs', { background: true, timeoutMs: 0 })
  const deadline = Date.now() + PATIENCE_MS
  while ((await get(sandbox, '/')).status !== 200) {
    assert.ok(Date.now() < deadline, 'the program did not start')
    await sleep(200)
  }
}

/** A request that goes to the server of the stories with the host that the client derives. */
function ask(sandbox, path, headers = {}) {
  const { hostname, port } = new URL(process.env.E2B_SANDBOX_URL)
  const host = sandbox.getHost(PORT)
  return request({ hostname, port, path, agent: false, headers: { Host: host, ...headers } })
}

function get(sandbox, path) {
  return new Promise((resolve, reject) => {
    const asked = ask(sandbox, path)
    asked.on('error', reject)
    asked.on('response', async (response) => {
      try {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({ status: response.statusCode, headers: response.headers, text })
      } catch (error) {
        reject(error)
      }
    })
    asked.end()
  })
}

test('the host of a port leads to the program, which sees that host', async () => {
  assert.equal((await get(sandbox, '/')).text, sandbox.getHost(PORT))
})

test('events arrive while more are to come', async () => {
  const asked = ask(sandbox, '/events')
  asked.end()
  const [response] = await new Promise((resolve) => asked.on('response', (...all) => resolve(all)))
  let seen = ''
  for await (const piece of response) {
    seen += piece
    if (seen.includes('data: 3\n\n')) break
  }
  assert.ok(seen.startsWith('data: 0\n\ndata: 1\n\n'))
})

test('an upgraded connection carries bytes both ways', async () => {
  const asked = ask(sandbox, '/', { Connection: 'Upgrade', Upgrade: 'shout' })
  asked.end()
  const [response, socket] = await new Promise((resolve, reject) => {
    asked.on('upgrade', (...all) => resolve(all))
    asked.on('error', reject)
  })
  assert.equal(response.headers.upgrade, 'shout')
  socket.write('hello')
  const [answer] = await new Promise((resolve) => socket.once('data', (...all) => resolve(all)))
  assert.equal(answer.toString(), 'HELLO')
  socket.destroy()
})

test('the url of a killed sandbox says that it is gone', async () => {
  await withSandbox({}, async (mortal) => {
    await serve(mortal)
    await mortal.kill()
    const answer = await get(mortal, '/')
    assert.equal(answer.status, 502)
    assert.deepEqual(JSON.parse(answer.text), {
      sandboxId: mortal.sandboxId,
      message: 'The sandbox was not found',
      code: 502,
    })
  })
})
