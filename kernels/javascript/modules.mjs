// Where the `import` of a cell finds its module: from the working directory as a program there
// would, then among the packages that are installed for everybody.
import process from 'node:process';
import vm from 'node:vm';

// `/usr/local/lib/node_modules` is looked in by whoever stands in its parent.
const EVERYBODY = '/usr/local/lib/cell.mjs';

function importer(filename) {
  const script = new vm.Script('(specifier) => import(specifier)', {
    filename,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  return script.runInThisContext();
}

const importers = new Map();
function from(filename) {
  if (importers.size > 64) importers.clear();
  if (!importers.has(filename)) importers.set(filename, importer(filename));
  return importers.get(filename);
}

/** Imports a module for a cell. */
export async function imported(specifier) {
  try {
    return await from(`${process.cwd()}/cell.mjs`)(specifier);
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
    try {
      return await from(EVERYBODY)(specifier);
    } catch {
      throw error;
    }
  }
}
