// What was thrown, in the three words of Jupyter's `error`.
import { inspect } from 'node:util';

// Lines of a stack that are the runner's or node's, and not the cell's.
const OURS = /^\s+at .*(\/opt\/soulbox\/|node:inspector|node:internal|javascript\/[a-z]+\.mjs)/;

/** A stack without the lines that are not the cell's. */
export function own(stack) {
  return stack
    .split('\n')
    .filter((line) => !OURS.test(line))
    .join('\n');
}

/** Name, value and traceback of anything that can be thrown. */
export function explain(thrown) {
  try {
    if (thrown instanceof Error || typeof thrown?.stack === 'string') {
      const name = String(thrown.name ?? 'Error');
      const value = String(thrown.message ?? '');
      return { name, value, traceback: own(String(thrown.stack ?? `${name}: ${value}`)).split('\n') };
    }
    const value = typeof thrown === 'string' ? thrown : inspect(thrown);
    return { name: 'Error', value, traceback: [`Uncaught ${value}`] };
  } catch {
    return { name: 'Error', value: 'what was thrown cannot be shown', traceback: [] };
  }
}
