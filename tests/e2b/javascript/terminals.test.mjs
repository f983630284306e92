// Terminals through the stock JavaScript client: a shell that answers, resizing that programs
// see, full-screen programs, leaving and coming back, and kills.
// Contract: section 4.4, row 25 of section 8.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { CommandExitError, LIFETIME_MS, NotFoundError, Sandbox } from './sdk.mjs'

// A shell in a sandbox answers in milliseconds; a busy machine may take this long.
const PATIENCE_MS = 60_000

let sandbox
before(async () => {
  sandbox = await Sandbox.create('base', { timeoutMs: LIFETIME_MS })
})
after(() => sandbox?.kill())

/** What a terminal showed, and a wait for what it is to show. */
class Screen {
  text = ''
  #decoder = new TextDecoder()
  #changed = () => {}

  take = (bytes) => {
    this.text += this.#decoder.decode(bytes, { stream: true })
    this.#changed()
  }

  /** Waits until the pattern shows up after what earlier waits have found. */
  async shows(pattern) {
    const deadline = AbortSignal.timeout(PATIENCE_MS)
    for (;;) {
      const found = this.text.match(pattern)
      if (found) {
        this.text = this.text.slice(found.index + found[0].length)
        return found
      }
      await new Promise((resolve, reject) => {
        this.#changed = resolve
        deadline.onabort = () => reject(new Error(`no ${pattern} in ${JSON.stringify(this.text)}`))
      })
    }
  }
}

async function open(options = {}) {
  const screen = new Screen()
  const handle = await sandbox.pty.create({ cols: 80, rows: 24, onData: screen.take, timeoutMs: 0, ...options })
  const type = (text, pid = handle.pid) => sandbox.pty.sendInput(pid, new TextEncoder().encode(text))
  return { handle, screen, type }
}

test('a terminal has its size, variables and directory, and ends with its shell', async () => {
  const { handle, screen, type } = await open({ cols: 77, rows: 20, envs: { MINE: 'here' }, cwd: '/tmp' })
  await type('echo "<$MINE $TERM $LANG $(tput cols) $(tput lines) $PWD $(whoami)>"\n')
  await screen.shows(/<here xterm-256color C\.UTF-8 77 20 \/tmp user>/)
  await type('exit\n')
  assert.equal((await handle.wait()).exitCode, 0)
})

test('programs see that the terminal was resized', async () => {
  const { handle, screen, type } = await open()
  await type("trap 'echo \"<$(stty size)>\"' WINCH; echo ready-$((1+1))\n")
  await screen.shows(/ready-2/)
  await sandbox.pty.resize(handle.pid, { cols: 101, rows: 31 })
  await type('\n')
  await screen.shows(/<31 101>/)
  await handle.kill()
})

test('a full-screen editor edits', async () => {
  const { handle, screen, type } = await open()
  await type('vi page.txt\n')
  await screen.shows(/page\.txt" \[New/)
  await type('iwritten in vi\x1b:wq\r')
  await screen.shows(/written/)
  // What is typed before the shell is back may be thrown away.
  await screen.shows(/\$ /)
  await type('echo done-$((1+1)); exit\n')
  await screen.shows(/done-2/)
  await handle.wait()
  assert.equal(await sandbox.files.read('page.txt'), 'written in vi\n')
})

test('a client comes back to a terminal and finds its shell', async () => {
  const { handle, screen, type } = await open()
  await type('KEPT=kept; echo set-$((1+1))\n')
  await screen.shows(/set-2/)
  await handle.disconnect()
  const later = new Screen()
  const again = await sandbox.pty.connect(handle.pid, { onData: later.take, timeoutMs: 0 })
  await type('echo "<$KEPT>"; exit 4\n')
  await later.shows(/<kept>/)
  await assert.rejects(again.wait(), (error) => error instanceof CommandExitError && error.exitCode === 4)
  await assert.rejects(sandbox.pty.connect(999_999, { onData: later.take }), NotFoundError)
})

test('a killed terminal takes its programs with it', async () => {
  const { handle, screen, type } = await open()
  await type("sh -c 'echo up-$((1+1)); exec sleep 4242'\n")
  await screen.shows(/up-2/)
  assert.equal(await sandbox.pty.kill(handle.pid), true)
  assert.equal(await sandbox.pty.kill(handle.pid), false)
  await sandbox.commands.run('while pgrep -f "[s]leep 4242"; do sleep 0.1; done')
})

test('sudo works in a terminal', async () => {
  const { handle, screen, type } = await open()
  await type("sudo sh -c 'echo \"<$(whoami) $(stty size)>\"'\n")
  await screen.shows(/<root 24 80>/)
  await handle.kill()
})
