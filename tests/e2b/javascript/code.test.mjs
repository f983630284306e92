// Cells, results and charts through the stock JavaScript client.
// Contract: section 5, rows 1, 26 to 28, 31, 33 and 34 of section 8.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { LIFETIME_MS, Sandbox, TimeoutError, withSandbox } from './sdk.mjs'

let sandbox
before(async () => {
  sandbox = await Sandbox.create({ timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

test('values live from cell to cell', async () => {
  assert.equal((await sandbox.runCode('x = 1; x')).text, '1')
  assert.equal((await sandbox.runCode('x += 1; x')).text, '2')
  assert.equal((await sandbox.runCode("'Hello'")).text, 'Hello')
})

test('output, results and errors reach their callbacks', async () => {
  const seen = { out: [], err: [], result: [], error: [] }
  const code = "import sys\nprint('o')\nprint('e', file=sys.stderr)\ndisplay('shown')\n1 / 0"
  const execution = await sandbox.runCode(code, {
    onStdout: (message) => seen.out.push(message.line),
    onStderr: (message) => seen.err.push(message.line),
    onResult: (result) => seen.result.push(result.text),
    onError: (error) => seen.error.push(error.name),
  })
  assert.deepEqual(seen, {
    out: ['o\n'],
    err: ['e\n'],
    result: ['shown'],
    error: ['ZeroDivisionError'],
  })
  assert.equal(execution.error.value, 'division by zero')
  assert.match(execution.error.traceback, /1 \/ 0/)
})

test('the counter counts a failed first cell', async () => {
  await withSandbox({}, async (fresh) => {
    assert.equal((await fresh.runCode('1 / 0')).executionCount, 1)
    assert.equal((await fresh.runCode('1')).executionCount, 2)
  })
})

test('output arrives while the cell runs', async () => {
  const arrived = []
  await sandbox.runCode("import time\nprint('one')\ntime.sleep(2)\nprint('two')", {
    onStdout: () => arrived.push(Date.now()),
  })
  assert.equal(arrived.length, 2)
  assert.ok(arrived[1] - arrived[0] > 1500)
})

test('a client timeout interrupts the cell', async () => {
  await assert.rejects(
    sandbox.runCode('while True: pass', { timeoutMs: 2_000 }),
    TimeoutError,
  )
  const begun = Date.now()
  assert.equal((await sandbox.runCode("'still here'")).text, 'still here')
  assert.ok(Date.now() - begun < 15_000)
})

test('a figure has png, text and chart, and nothing extra', async () => {
  const code = "import matplotlib.pyplot as plt\nplt.plot([0, 1], [2, 3], label='a')\nplt.show()"
  const { results } = await sandbox.runCode(code)
  assert.equal(results.length, 1)
  const [figure] = results
  // This client lists neither text nor chart among the formats, but every key that it does not know.
  assert.deepEqual(figure.formats(), ['png'])
  assert.deepEqual(figure.extra, {})
  assert.match(figure.text, /Figure/)
  assert.ok(Buffer.from(figure.png, 'base64').subarray(1, 4).equals(Buffer.from('PNG')))
  assert.equal(figure.chart.type, 'line')
  assert.equal(figure.chart.title, null)
  assert.deepEqual(figure.chart.elements, [{ label: 'a', points: [[0, 2], [1, 3]] }])
})

test('a pie has its angles', async () => {
  const code = "import matplotlib.pyplot as plt\nplt.pie([90, 10], labels=['a', 'b'])\nplt.show()"
  const { results } = await sandbox.runCode(code)
  assert.equal(results[0].chart.type, 'pie')
  assert.deepEqual(results[0].chart.elements.map((part) => part.angle), [324, 36])
})

test('a data frame brings its data', async () => {
  const code = "import pandas as pd\npd.DataFrame({'a': [1, 2]})"
  const { results } = await sandbox.runCode(code)
  assert.deepEqual(results[0].data, { a: [1, 2] })
  assert.match(results[0].html, /<table/)
  assert.equal(results[0].isMainResult, true)
})

test('variables of one cell are undone after it', async () => {
  await withSandbox({ envs: { COLOUR: 'red' } }, async (fresh) => {
    const code = "import os; os.environ.get('COLOUR') + os.environ.get('SHAPE', '-')"
    const envs = { COLOUR: 'blue', SHAPE: 'round' }
    assert.equal((await fresh.runCode(code, { envs })).text, 'blueround')
    assert.equal((await fresh.runCode(code)).text, 'red-')
  })
})

test('killing the sandbox under a cell says so', async () => {
  await withSandbox({}, async (fresh) => {
    const running = fresh.runCode('import time; time.sleep(60)')
    setTimeout(() => Sandbox.kill(fresh.sandboxId), 2_000)
    await assert.rejects(running, (error) => {
      assert.match(error.message, /killed|end of life/)
      return true
    })
  })
})

test('JavaScript, TypeScript and bash run in contexts of their own', async () => {
  const js = await sandbox.runCode("import os from 'node:os'\nconsole.log('hi'); await Promise.resolve(os.platform())", { language: 'js' })
  assert.deepEqual([js.logs.stdout, js.text], [['hi\n'], 'linux'])
  const ts = await sandbox.runCode('const n: number = 4; n', { language: 'ts' })
  assert.equal(ts.text, '4')
  const env = await sandbox.runCode('process.env.STORY', { language: 'javascript', envs: { STORY: 'a\'b"c' } })
  assert.equal(env.text, 'a\'b"c')
  const bash = await sandbox.runCode('echo out; echo err >&2; (exit 3)', { language: 'bash' })
  assert.deepEqual([bash.logs.stdout, bash.logs.stderr, bash.error.value], [['out\n'], ['err\n'], '3'])
})
