// Runs the cells of a JavaScript or TypeScript context, one after the other, in this process.
//
// V8's own REPL mode evaluates them, through a session of the inspector with this very thread:
// top-level `await`, `let` and `const` that may be declared again. No port is opened. A second
// thread waits for the byte that interrupts, and ends what runs on this one.
import fs from 'node:fs';
import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import net from 'node:net';
import process from 'node:process';
import { Worker } from 'node:worker_threads';

import { explain } from './errors.mjs';
import { imported } from './modules.mjs';
import { abandon } from './packages.mjs';
import { bundle } from './show.mjs';
import { translate } from './translate.mjs';

// Descriptors that the host hands over; see kernels/host.
const REQUESTS = 201;
const EVENTS = 202;
const INTERRUPT = 203;
// Milliseconds that interrupted code has to end by itself before the cell is given up.
const GRACE = 50;
const INTERRUPTED = { name: 'Interrupted', value: 'The execution was interrupted', traceback: [] };
const typescript = process.argv[2] === 'ts';
// How many interrupts this thread was free to take.
const taken = new Int32Array(new SharedArrayBuffer(4));

const session = new inspector.Session();
session.connect();

/** Tells the host something, before anything else happens. */
function say(event) {
  const line = Buffer.from(`${JSON.stringify(event)}\n`);
  for (let sent = 0; sent < line.length; ) {
    sent += fs.writeSync(EVENTS, line, sent);
  }
}

/** One question to V8. Asked outside of the promise, to stay out of the stacks of cells. */
function post(method, parameters) {
  let settle;
  const answered = new Promise((resolve, reject) => {
    settle = (error, answer) => (error ? reject(error) : resolve(answer));
  });
  session.post(method, parameters, (error, answer) => settle(error, answer));
  return answered;
}

// What cells find beside node's own globals.
const hidden = (name, value) =>
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
const require = createRequire(`${process.cwd()}/`);
hidden('require', require);
hidden('display', (value, options) => {
  const data = options?.raw ? value : bundle(value);
  if (data) say({ data });
});
const ours = Object.freeze({
  imported,
  bundle: (value) => JSON.stringify(bundle(value) ?? null),
  explain: (value) => JSON.stringify(explain(value)),
});
Object.defineProperty(globalThis, Symbol.for('soulbox'), { value: ours });

// Errors of timers and forgotten promises are told, and end nothing.
process.on('uncaughtException', (error) => process.stderr.write(`${explain(error).traceback.join('\n')}\n`));
process.on('unhandledRejection', (error) => process.stderr.write(`${explain(error).traceback.join('\n')}\n`));
process.argv.length = 1;

/** Calls one of our functions with a value that an evaluation gave. */
async function call(name, value) {
  const argument =
    value.objectId !== undefined
      ? { objectId: value.objectId }
      : value.unserializableValue !== undefined
        ? { unserializableValue: value.unserializableValue }
        : { value: value.value };
  const { result } = await post('Runtime.callFunctionOn', {
    functionDeclaration: `function (value) { return this[Symbol.for('soulbox')].${name}(value) }`,
    objectId: everything,
    arguments: [argument],
    returnByValue: true,
  });
  return result.value === undefined ? null : JSON.parse(result.value);
}
const { result: globals } = await post('Runtime.evaluate', { expression: 'globalThis' });
const everything = globals.objectId;

/** Lays variables over the process's, and gives back what undoes it. */
function lay(variables) {
  const former = Object.keys(variables).map((name) => [name, process.env[name]]);
  const put = ([name, value]) => {
    if (value === undefined || value === null) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(variables).forEach(put);
  return () => former.forEach(put);
}

// Cells that wait, and the one that runs.
const cells = [];
let running = null;

/** Tells the end of a cell, once, and goes on with the next one. */
function finish(cell, error) {
  if (cell.over) return;
  cell.over = true;
  cell.undo();
  running = null;
  say(error ? { done: true, error } : { done: true });
  setImmediate(next);
}

function next() {
  if (running || cells.length === 0) return;
  running = cells.shift();
  running.undo = () => {};
  run(running).catch((problem) => finish(running, explain(problem)));
}

/** Runs one cell, and says what it gave. */
async function run(cell) {
  lay(cell.lasting);
  cell.undo = lay(cell.env);
  let answer;
  try {
    const expression = translate(cell.code, typescript);
    answer = await post('Runtime.evaluate', { expression, replMode: true, awaitPromise: true }).catch(() => null);
  } catch (problem) {
    return finish(cell, explain(problem));
  }
  // A cell that was given up may still come to its end.
  if (cell.over) return undefined;
  if (answer === null) return finish(cell, INTERRUPTED);
  const { result, exceptionDetails } = answer;
  if (exceptionDetails) return finish(cell, await call('explain', exceptionDetails.exception));
  const data = result.type === 'undefined' ? null : await call('bundle', result);
  if (data && !cell.over) say({ data, main: true });
  return finish(cell, null);
}

// What was interrupted has a moment to end by itself. Termination empties V8's queue of promises, so
// this does not count on any of them.
const guard = new Worker(new URL('./interrupts.mjs', import.meta.url), { workerData: { descriptor: INTERRUPT, taken } });
guard.on('message', () => {
  Atomics.add(taken, 0, 1);
  const cell = running;
  if (!cell) return;
  abandon();
  setTimeout(() => finish(cell, INTERRUPTED), GRACE);
});
guard.unref();

// Node's own exit would wait for the session of the other thread, which never ends.
process.exit = (code = process.exitCode ?? 0) => {
  try {
    process.emit('exit', code);
  } finally {
    say({ exit: code });
    process.kill(process.pid, 'SIGKILL');
  }
};

let waiting = '';
const requests = new net.Socket({ fd: REQUESTS, readable: true, writable: false });
requests.setEncoding('utf8');
requests.on('data', (text) => {
  waiting += text;
  for (let end = waiting.indexOf('\n'); end >= 0; end = waiting.indexOf('\n')) {
    cells.push(JSON.parse(waiting.slice(0, end)));
    waiting = waiting.slice(end + 1);
  }
  next();
});
requests.on('end', () => process.exit(0));
