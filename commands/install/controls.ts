/** Step 3: the control files, as config-fast and config write them, and what the config file names. */

import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { makeCdb } from "../../qmail/cdb/cdbmake.ts";
import { writeFileAtomic } from "../../qmail/files/atomic.ts";
import { SECRETS, type SecretFile, secretFile } from "../../qmail/hier.ts";
import { compileRules } from "../../qmail/tcpserver/compile.ts";
import type { Config } from "../config.ts";
import {
  fileRow,
  type InstallContext,
  leftOverRows,
  type Row,
  type Step,
  secretRow,
} from "./step.ts";

export const controls: Step = {
  title: "control files",
  rows(context) {
    const texts = Object.entries(controlFiles(context.config, context.host)).map(
      ([name, lines]) => {
        return { name, content: lines.map((line) => `${line}\n`).join("") };
      },
    );
    const rules = texts.find(({ name }) => name === "tcp.smtp");
    const compiled = rules ? [{ name: "tcp.smtp.cdb", content: compile(rules.content) }] : [];
    const files = [...texts, ...compiled].map(({ name, content }) => {
      const path = `control/${name}`;
      const secret = secretFile(path);
      const access = secret ? { ...secret, secret: true } : { mode: 0o644 };
      return fileRow(context, { ...access, name: path, content });
    });
    const rows = context.config.srsDomain === null ? files : [...files, srsSecretsRow(context)];
    // Written by hand, or by others: open to everybody they would be none.
    const secrets = context.config.hubs ? [] : SECRETS.map((each) => secretRow(context, each));
    return [...rows, ...leftOverRows(context, "control", rows), ...secrets];
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

/** For those who sign SRS addresses and who read them; made once, by chance. */
function srsSecretsRow(context: InstallContext): Row {
  const name = "control/srssecrets";
  const { owner, group, mode } = secretFile(name) as SecretFile;
  const path = context.path(name);
  const exists = () => statSync(path, { throwIfNoEntry: false }) !== undefined;
  return {
    name,
    inspect: () => (exists() ? null : "missing"),
    apply() {
      const who = context.owner(owner, group);
      if (!who) throw new Error("the users do not exist");
      const secret = `${randomBytes(24).toString("base64url")}\n`;
      writeFileAtomic(path, secret, { mode, owner: who });
    },
  };
}
