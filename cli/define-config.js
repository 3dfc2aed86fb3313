// What `import { defineConfig } from "qmailctl"` gives at run time. It only exists for the editor: the
// types are those of commands/config.ts. Plain JavaScript, so that the sources and the compiled
// package can both point here.

export function defineConfig(config) {
  return config;
}
