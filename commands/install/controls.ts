/** Step 3: the control files, as config-fast and config write them, and what the config file names. */

import type { Config } from "../config.ts";
import { hostName } from "./host-name.ts";
import { fileRow, type Step } from "./step.ts";

export const controls: Step = {
  title: "control files",
  async rows(context) {
    const host = await hostName(context);
    return Object.entries(controlFiles(context.config, host)).map(([name, lines]) =>
      fileRow(context, {
        name: `control/${name}`,
        mode: 0o644,
        content: lines.map((line) => `${line}\n`).join(""),
      }),
    );
  },
};

/** Every control file with its lines, for a server named `host`. */
export function controlFiles(config: Config, host: string): Record<string, readonly string[]> {
  const locals = config.locals ?? [host];
  const routes = Object.entries(config.routes).map(([domain, relay]) => `${domain}:${relay}`);
  const names = {
    me: [host],
    defaultdomain: [defaultDomain(host)],
    plusdomain: [plusDomain(host)],
  };
  if (config.hubs) return { ...names, qmqpservers: config.hubs, ...config.control };
  return {
    ...names,
    locals,
    rcpthosts: config.rcpthosts ?? locals,
    ...(routes.length > 0 ? { smtproutes: routes } : {}),
    ...config.control,
  };
}

/** config-fast's rule: the host's name without its first part, unless only two parts are left of it. */
export function defaultDomain(host: string): string {
  return host.replace(/^([^.]*)\.([^.]*)\./, "$2.");
}

/** config-fast's rule: the last two parts of the host's name. */
export function plusDomain(host: string): string {
  return host.replace(/^.*\.([^.]*)\.([^.]*)$/, "$1.$2");
}
