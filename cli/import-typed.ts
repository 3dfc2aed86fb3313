/**
 * Loading a config file, which lies anywhere: no node_modules near it has us, and the package.json around it, if any, is
 * another's. So "qmailctl" is we, and TypeScript that the file brings along is modules, as it is itself.
 */

import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const OWN_NAME = "qmailctl";

/** Imports the TypeScript file `file`. */
export async function importTyped<T>(file: string): Promise<T> {
  const first = pathToFileURL(file).href;
  const own = import.meta.resolve(OWN_NAME);
  // The modules of the config; ours, and those of packages, stay what they are.
  const modules = new Set([first]);
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === OWN_NAME) return next(own, context);
      const found = next(specifier, context);
      const ofConfig = found.url === first || modules.has(context.parentURL ?? "");
      if (!ofConfig || !isOwnTypeScript(found.url)) return found;
      modules.add(found.url);
      return { ...found, format: "module-typescript" };
    },
  });
  try {
    return (await import(first)) as T;
  } finally {
    hooks.deregister();
  }
}

function isOwnTypeScript(url: string): boolean {
  return url.startsWith("file:") && url.endsWith(".ts") && !url.includes("/node_modules/");
}
