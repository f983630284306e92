// Where the `import` of a cell finds its module: from the working directory as a program there
// would, then among the packages that are installed for everybody. `npm:` names a package that is
// installed if it has to be.
import process from 'node:process';
import vm from 'node:vm';

import { parse, place } from './packages.mjs';

// `/usr/local/lib/node_modules` is looked in by whoever stands in its parent.
const EVERYBODY = '/usr/local/lib/cell.mjs';

function importer(filename) {
  const script = new vm.Script('(specifier, options) => import(specifier, options)', {
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
export async function imported(wanted, options) {
  const specifier = String(wanted);
  const here = `${process.cwd()}/cell.mjs`;
  if (specifier.startsWith('npm:')) {
    const { name, inside } = parse(specifier);
    return from(await place(specifier, [here, EVERYBODY]))(name + inside, options);
  }
  try {
    return await from(here)(specifier, options);
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^[a-z]+:/.test(specifier)) throw error;
    try {
      return await from(EVERYBODY)(specifier, options);
    } catch {
      throw error;
    }
  }
}
