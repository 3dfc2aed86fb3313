/** Step 3: the control files, as config-fast and config write them, and what the config file names. */

import { Resolver } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { Control } from "../../qmail/control/control.ts";
import type { Config } from "../config.ts";
import { CommandError } from "../output.ts";
import { fileRow, type InstallContext, type Step } from "./step.ts";

const DNS_TIMEOUT_MS = 3000;

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
  return {
    me: [host],
    defaultdomain: [defaultDomain(host)],
    plusdomain: [plusDomain(host)],
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

/** The configured name, the one installed already, or what reverse DNS says of our addresses. */
async function hostName(context: InstallContext): Promise<string> {
  const { host } = context.config;
  if (host) return host;
  const installed = new Control(context.home).line("me");
  if (installed) return installed;
  const found = await reverseLookup();
  if (found) return found;
  throw new CommandError("cannot find out this host's name: DNS has none for its addresses", {
    hints: [
      "say it: qmailctl install --host mail.example.com",
      "or write it into the config file: host",
    ],
  });
}

async function reverseLookup(): Promise<string | null> {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 1 });
  for (const { address, internal } of Object.values(networkInterfaces()).flatMap(
    (all) => all ?? [],
  )) {
    if (internal) continue;
    try {
      const [name] = await resolver.reverse(address);
      if (name?.includes(".")) return name.toLowerCase();
    } catch {
      // No name for this address: perhaps for the next.
    }
  }
  return null;
}
