// A cell as V8's REPL mode takes it: types are taken off, and what only a module may say (`import`,
// `export`, `import.meta`) is said in a script's words. Everything else is left as it was, each
// line in its place, so that errors name the right ones.
import { createRequire } from 'node:module';

// The packages of the image's recipe, which are installed for everybody.
const packages = createRequire('/usr/local/lib/soulbox.mjs');
const { parse } = packages('acorn');
let stripper;

/** Takes the types off; enums and the like are translated, which may move lines. */
function strip(code) {
  stripper ??= packages('amaro');
  const options = { module: true, sourceMap: false, deprecatedTsModuleAsError: false };
  try {
    return stripper.transformSync(code, { ...options, mode: 'strip-only' }).code;
  } catch (problem) {
    try {
      return stripper.transformSync(code, { ...options, mode: 'transform' }).code;
    } catch {
      throw new SyntaxError(problem.message ?? String(problem));
    }
  }
}

const IMPORTED = "globalThis[Symbol.for('soulbox')].imported";

function declaration(node, code) {
  const attributes = (node.attributes ?? []).map((attribute) => code.slice(attribute.start, attribute.end));
  const options = attributes.length ? `, { with: { ${attributes.join(', ')} } }` : '';
  const source = `await ${IMPORTED}(${node.source.raw}${options})`;
  const whole = node.specifiers.find((specifier) => specifier.type === 'ImportNamespaceSpecifier');
  const named = node.specifiers.filter((specifier) => specifier !== whole);
  const pick = (specifier) => {
    const name = specifier.type === 'ImportDefaultSpecifier' ? 'default' : code.slice(specifier.imported.start, specifier.imported.end);
    return `${name}: ${specifier.local.name}`;
  };
  if (!whole && named.length === 0) return `${source};`;
  if (!whole) return `const { ${named.map(pick).join(', ')} } = ${source};`;
  const rest = named.length ? ` const { ${named.map(pick).join(', ')} } = ${whole.local.name};` : '';
  return `const ${whole.local.name} = ${source};${rest}`;
}

/** The parts of a module that a script cannot say, each as [start, end, text]. */
function* changes(node, code) {
  if (Array.isArray(node)) {
    for (const item of node) yield* changes(item, code);
    return;
  }
  if (typeof node?.type !== 'string') return;
  if (node.type === 'ImportDeclaration') {
    const lines = '\n'.repeat(code.slice(node.start, node.end).split('\n').length - 1);
    yield [node.start, node.end, declaration(node, code) + lines];
    return;
  }
  if (node.type === 'ExportNamedDeclaration') {
    yield node.declaration ? [node.start, node.declaration.start, ''] : [node.start, node.end, ''];
  } else if (node.type === 'ExportDefaultDeclaration') {
    yield [node.start, node.declaration.start, ''];
  } else if (node.type === 'ExportAllDeclaration') {
    yield [node.start, node.end, ''];
  } else if (node.type === 'ImportExpression') {
    yield [node.start, node.start + 'import'.length, IMPORTED];
  }
  for (const [key, child] of Object.entries(node)) {
    if (key !== 'type' && child && typeof child === 'object') yield* changes(child, code);
  }
}

/** What to evaluate for a cell. */
export function translate(cell, typescript) {
  const code = typescript ? strip(cell) : cell;
  if (!/\b(im|ex)port\b/.test(code)) return code;
  let tree;
  try {
    tree = parse(code, { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true });
  } catch {
    // V8 says better what is wrong with it, or runs what only a script may say.
    return code;
  }
  let text = '';
  let at = 0;
  for (const [start, end, replacement] of [...changes(tree.body, code)].sort((a, b) => a[0] - b[0])) {
    text += code.slice(at, start) + replacement;
    at = end;
  }
  return text + code.slice(at);
}
