// Packages that a cell names as Deno's cells do: `import isOdd from 'npm:is-odd@3'`.
//
// What is installed and fits is used. Everything else npm installs, each specifier into a
// directory of its own under the cache of the kernel's user, so that two versions never meet. No
// package's scripts are run, as Deno has it. Installing has a deadline and heeds interrupts.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

// Milliseconds that npm has, which the registry may need most of.
const DEADLINE = 180_000;
// Characters of npm's complaint that are kept.
const COMPLAINT = 4096;
const SPECIFIER = /^npm:\/?(?<name>(?:@[\w.~-]+\/)?[\w.~-]+)(?:@(?<range>[\w.^~<>=|*+ -]+))?(?<inside>\/.+)?$/;
// What npm says when nobody answers: the way out of the sandbox is closed, or leads nowhere.
const UNREACHABLE = /EAI_|ENOTFOUND|ECONN|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|SOCKET|tunneling|proxy/i;

const running = new Set();

class PackageError extends Error {
  constructor(specifier, why) {
    super(`${specifier} ${why}`);
    this.name = 'PackageError';
  }
}

/** The parts of a specifier. */
export function parse(specifier) {
  const parts = SPECIFIER.exec(specifier)?.groups;
  if (!parts || /(^|\/)[.-]/.test(parts.name)) {
    throw new PackageError(specifier, 'is not the name of a package: npm:NAME, npm:NAME@VERSION or npm:NAME/FILE');
  }
  return { name: parts.name, range: parts.range?.trim() ?? '', inside: parts.inside ?? '' };
}

/** Ends what npm does, for the cell that waits for it was interrupted. */
export function abandon() {
  for (const stop of running) stop('interrupted');
}

/** Whether a version fits, by npm's own rules. */
function fits(version, range) {
  if (range === '' || range === version) return true;
  try {
    const npm = fs.realpathSync(found('npm'));
    return createRequire(npm)('semver').satisfies(version, range);
  } catch {
    return false;
  }
}

function found(program) {
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  return directories.map((directory) => path.join(directory, program)).find((file) => fs.existsSync(file));
}

/** Whether whoever stands at this file finds such a package installed. */
function has(file, name, range) {
  for (const directory of createRequire(file).resolve.paths(name) ?? []) {
    try {
      const { version } = JSON.parse(fs.readFileSync(path.join(directory, name, 'package.json'), 'utf8'));
      return fits(version, range);
    } catch {
      // Not in this directory, then.
    }
  }
  return false;
}

/** The file from which a package is to be imported: one of `places`, or one in our cache. */
export async function place(specifier, places) {
  const { name, range } = parse(specifier);
  const installed = places.find((file) => has(file, name, range));
  if (installed) return installed;
  const cache = path.join(os.homedir(), '.cache', 'soulbox', 'npm');
  const directory = path.join(cache, encodeURIComponent(range ? `${name}@${range}` : name));
  if (!fs.existsSync(directory)) await install(specifier, range ? `${name}@${range}` : name, cache, directory);
  return path.join(directory, 'cell.mjs');
}

async function install(specifier, wanted, cache, directory) {
  fs.mkdirSync(cache, { recursive: true });
  const workshop = fs.mkdtempSync(path.join(cache, '.new-'));
  try {
    await npm(specifier, wanted, workshop);
    fs.renameSync(workshop, directory);
  } catch (problem) {
    // Another context was faster, which is as good.
    if (!fs.existsSync(directory)) throw problem;
  } finally {
    fs.rmSync(workshop, { recursive: true, force: true });
  }
}

function npm(specifier, wanted, directory) {
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-progress', '--no-update-notifier', '--loglevel=error'];
  const patience = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-timeout=60000'];
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['install', '--prefix', directory, ...options, ...patience, '--', wanted], {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: process.env,
    });
    let complaint = '';
    let stopped = null;
    const stop = (why) => {
      stopped = why;
      child.kill('SIGKILL');
    };
    const late = setTimeout(() => stop('late'), DEADLINE);
    running.add(stop);
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => {
      complaint = (complaint + text).slice(0, COMPLAINT);
    });
    const over = (problem) => {
      clearTimeout(late);
      running.delete(stop);
      if (problem) reject(problem);
      else resolve();
    };
    child.on('error', () => over(new PackageError(specifier, 'is not installed, and there is no npm here to install it')));
    child.on('close', (status) => {
      if (stopped === 'interrupted') over(Object.assign(new Error('The execution was interrupted'), { name: 'Interrupted' }));
      else if (stopped === 'late') over(new PackageError(specifier, `could not be installed within ${DEADLINE / 1000} s`));
      else over(status === 0 ? null : new PackageError(specifier, `could not be installed: ${explain(complaint)}`));
    });
  });
}

// Lines of npm's complaint that say nothing about the matter.
const NOISE = /^(\d+( {2}.*)?$|$|at |A complete log|errno|syscall|type|This is a problem related|network This is|network In most)/;

/** npm's complaint in a line, and what can be done about it. */
function explain(complaint) {
  const lines = complaint
    .split('\n')
    .map((line) => line.replace(/^npm (ERR!|error) ?/, '').trim())
    .filter((line) => !NOISE.test(line));
  const said = lines.slice(0, 2).join(', ') || 'npm failed and did not say why';
  if (!UNREACHABLE.test(said)) return said;
  return `${said}. The registry cannot be reached from this sandbox: allow it internet access, or install the package in its template`;
}
