// The stock packages of one generation, loaded from where tests/setup.sh installed them.
//
// A story file does not live beside its packages, because the same file runs under two
// generations of them; so the packages are named by directory instead of by name.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const packages = process.env.SOULBOX_NPM
if (!packages) throw new Error('SOULBOX_NPM must name the directory that holds node_modules')

const entry = join(packages, 'node_modules/@e2b/code-interpreter/dist/index.mjs')
const sdk = await import(pathToFileURL(entry).href)

export const {
  AuthenticationError,
  CommandExitError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  TimeoutError,
} = sdk

/** Long enough for a file of stories on a busy two-core machine. */
export const LIFETIME_MS = 600_000

/** Gives a story a sandbox of its own and kills it afterwards, however the story ends. */
export async function withSandbox(options, story) {
  const { template, ...rest } = options
  const settings = { timeoutMs: LIFETIME_MS, ...rest }
  const sandbox = template
    ? await Sandbox.create(template, settings)
    : await Sandbox.create(settings)
  try {
    return await story(sandbox)
  } finally {
    await sandbox.kill()
  }
}
