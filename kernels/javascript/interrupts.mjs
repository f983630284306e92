// Waits for the byte that interrupts, and ends what runs on the main thread.
//
// A thread of its own, since the main one may be busy. One that is free takes the message itself and
// gives its cell up: termination would hit whatever runs there next.
import fs from 'node:fs';
import inspector from 'node:inspector';
import { parentPort, workerData } from 'node:worker_threads';

// Milliseconds that a free main thread has to take the message.
const FREE = 30;
const { descriptor, taken } = workerData;

const session = new inspector.Session();
session.connectToMainThread();
const bytes = Buffer.alloc(64);

(function wait() {
  fs.read(descriptor, bytes, 0, bytes.length, null, (error, count) => {
    if (error || count === 0) return;
    const before = Atomics.load(taken, 0);
    parentPort.postMessage('interrupt');
    setTimeout(() => {
      if (Atomics.load(taken, 0) === before) session.post('Runtime.terminateExecution', () => {});
      wait();
    }, FREE);
  });
})();
