/** Step 3: the control files, as config-fast and config write them, and what the config file names. */

import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { makeCdb } from "../../qmail/cdb/cdbmake.ts";
import { writeFileAtomic } from "../../qmail/files/atomic.ts";
import { compileRules } from "../../qmail/tcpserver/compile.ts";
import type { Config } from "../config.ts";
import { hostName } from "./host-name.ts";
import { accessTrouble, fileRow, type InstallContext, type Row, type Step } from "./step.ts";

export const controls: Step = {
  title: "control files",
  async rows(context) {
    const host = await hostName(context);
    const texts = Object.entries(controlFiles(context.config, host)).map(([name, lines]) => {
      return { name, content: lines.map((line) => `${line}\n`).join("") };
    });
    const rules = texts.find(({ name }) => name === "tcp.smtp");
    const compiled = rules ? [{ name: "tcp.smtp.cdb", content: compile(rules.content) }] : [];
    const files = [...texts, ...compiled].map(({ name, content }) =>
      fileRow(context, { name: `control/${name}`, mode: 0o644, content }),
    );
    return context.config.srsDomain === null ? files : [...files, srsSecretsRow(context)];
  },
};

/** Rules as the services read them. */
function compile(rules: string): Buffer {
  return makeCdb(compileRules(Buffer.from(rules).toString("latin1")));
}

/** Every control file with its lines, for a server named `host`. */
export function controlFiles(config: Config, host: string): Record<string, readonly string[]> {
  const { srsDomain } = config;
  const locals = config.locals ?? [host];
  const rcpthosts = config.rcpthosts ?? locals;
  const rules = config.smtp?.rules ?? [];
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
    rcpthosts: srsDomain === null ? rcpthosts : [...rcpthosts, srsDomain],
    ...(routes.length > 0 ? { smtproutes: routes } : {}),
    ...(rules.length > 0 ? { "tcp.smtp": rules } : {}),
    ...config.control,
    ...(srsDomain === null
      ? {}
      : { virtualdomains: [...(config.control.virtualdomains ?? []), `${srsDomain}:srs`] }),
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

/** For those who sign SRS addresses (qmailr, by group) and who read them (alias); made once, by chance. */
function srsSecretsRow(context: InstallContext): Row {
  const path = context.path("control/srssecrets");
  const owner = () => context.owner("alias", "qmail");
  const found = () => statSync(path, { throwIfNoEntry: false });
  return {
    name: "control/srssecrets",
    inspect() {
      const stat = found();
      return stat ? accessTrouble(stat, 0o440, owner()) : "missing";
    },
    apply() {
      const secret = found() ? readFileSync(path) : `${randomBytes(24).toString("base64url")}\n`;
      const who = owner();
      if (!who) throw new Error("the users do not exist");
      writeFileAtomic(path, secret, { mode: 0o440, owner: who });
    },
  };
}
