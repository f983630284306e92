// A value as Jupyter's bundle of formats.
import { inspect } from 'node:util';

// Objects show themselves through this, as in Deno's notebooks.
const DISPLAY = Symbol.for('Jupyter.display');
// Nothing is left out of a long collection; depth is bounded, since a page of nesting helps nobody.
const WHOLE = { maxArrayLength: Infinity, maxStringLength: Infinity, depth: 8, colors: false };

/** The formats of a value; nothing when there is nothing to show. */
export function bundle(value) {
  const shown = value?.[DISPLAY];
  if (typeof shown === 'function') {
    const data = shown.call(value);
    if (data && typeof data === 'object') return data;
  }
  // One pair of quotes around the text as it is: readers take that pair off and unescape nothing.
  if (typeof value === 'string') return { 'text/plain': `'${value}'` };
  return { 'text/plain': inspect(value, WHOLE) };
}
