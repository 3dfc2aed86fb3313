/** Checking the config file, and what flags say over it. */

import { dirname, resolve } from "node:path";
import {
  type Config,
  type ConfigInput,
  configSchema,
  type QmailService,
} from "../commands/config.ts";
import { limitsControls } from "../commands/limits-config.ts";
import { CommandError } from "../commands/output.ts";
import { completePop3, ownCertificate } from "../commands/pop3-config.ts";
import { remoteControls } from "../commands/remote-config.ts";
import { completeSubmission, submissionControls } from "../commands/submission-config.ts";
import { absoluteCertificate, type Certificate } from "../commands/tls-config.ts";
import { EXIT } from "../qmail/exit.ts";
import { qmailHome } from "../qmail/home.ts";
import { type ConfigFlags, type Loaded, loadInput } from "./config-file.ts";
import { nearest } from "./suggest.ts";

/** The whole config: the file that holds, flags over it, defaults under it. Throws CommandError. */
export async function loadConfig(flags: ConfigFlags): Promise<Config> {
  return completeConfig(await loadInput(flags), flags);
}

/** As `loadConfig`, of what was loaded. */
export function completeConfig({ input, file }: Loaded, flags: ConfigFlags): Config {
  const { home, host, sandbox, listen } = flags;
  const merged: ConfigInput = {
    ...input,
    ...(home === undefined ? {} : { home: resolve(home) }),
    ...(host === undefined ? {} : { host }),
    ...(sandbox === undefined ? {} : { sandbox }),
  };
  if (listen !== undefined) {
    merged.services = { ...input.services, smtp: { ...input.services?.smtp, listen } };
  }
  check(merged, file ?? "the command line");
  return complete(merged, file ? dirname(file) : process.cwd());
}

/** Throws a CommandError that names each wrong field, what was found, and what is allowed. */
function check(input: ConfigInput, where: string): void {
  const result = configSchema.safeParse(input);
  if (result.success) return;
  const lines = result.error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => unknownField([...issue.path, key]));
    }
    // The message of a key is in the issues of the issue.
    const message = issue.code === "invalid_key" ? issue.issues[0]?.message : issue.message;
    const found = issue.code === "invalid_key" ? issue.path.at(-1) : valueAt(input, issue.path);
    return `${pathText(issue.path)}: found ${show(found)}; allowed: ${message}`;
  });
  throw new CommandError(`the config is wrong (${where})`, { code: EXIT.hard, hints: lines });
}

function unknownField(path: readonly PropertyKey[]): string {
  const known = fieldsAt(path.slice(0, -1));
  const meant = nearest(String(path.at(-1)), known);
  const suggestion = meant ? `did you mean "${meant}"?` : `allowed: ${known.join(", ")}`;
  return `${pathText(path)}: there is no such field; ${suggestion}`;
}

/** The names of the fields of the object at `path` of the schema. */
function fieldsAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    schema = shapeOf(schema)?.[String(key)];
  }
  return Object.keys(shapeOf(schema) ?? {});
}

function shapeOf(schema: unknown): Record<string, unknown> | null {
  const { shape, unwrap } = schema as { shape?: Record<string, unknown>; unwrap?: () => unknown };
  if (shape) return shape;
  return unwrap ? shapeOf((schema as { unwrap(): unknown }).unwrap()) : null;
}

function pathText(path: readonly PropertyKey[]): string {
  const text = path.map((key) =>
    typeof key === "number"
      ? `[${key}]`
      : /^\w+$/.test(String(key))
        ? `.${String(key)}`
        : `["${String(key)}"]`,
  );
  return text.join("").replace(/^\./, "") || "the config";
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) at = (at as Record<PropertyKey, unknown> | undefined)?.[key];
  return at;
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Everything that was left out, filled in. `directory` is what a relative home is relative to. */
function complete(input: ConfigInput, directory: string): Config {
  const sandbox = input.sandbox ?? false;
  const smtp = input.services?.smtp ?? {};
  const defaultListen = sandbox ? "127.0.0.1:2525" : ":25";
  const { local, remote } = input.concurrency ?? {};
  const control: Record<string, string[]> = {
    ...(local === undefined ? {} : { concurrencylocal: [String(local)] }),
    ...(remote === undefined ? {} : { concurrencyremote: [String(remote)] }),
    ...bounceControls(input.bounces ?? {}),
    ...remoteControls(input.remote ?? {}),
    ...submissionControls(input.services?.submission),
    ...(input.client ? {} : limitsControls(input.limits)),
    ...(input.popBeforeSmtp ? { popbeforesmtp: [String(input.popBeforeSmtp)] } : {}),
  };
  for (const [name, value] of Object.entries(input.control ?? {})) {
    control[name] = list(value).map(String);
  }
  const tls = list(input.tls ?? []).map((files) => absoluteCertificate(files, directory));
  const own = ownCertificate(input.services?.pop3 ?? {}, directory);
  const home = resolve(directory, input.home ?? qmailHome());
  return {
    input: absolute(input, { home, ...(input.tls === undefined ? {} : { tls }) }, own),
    home,
    sandbox,
    host: input.host ?? null,
    locals: input.locals ?? null,
    rcpthosts: input.rcpthosts ?? null,
    aliases: Object.fromEntries(
      Object.entries(input.aliases ?? {}).map(([name, lines]) => [name, list(lines)]),
    ),
    assign: input.assign ?? null,
    defaultDelivery: input.defaultDelivery ?? "home",
    routes: input.routes ?? {},
    tls,
    smtp:
      smtp.enabled === false
        ? null
        : {
            listen: list(smtp.listen ?? defaultListen),
            concurrency: smtp.concurrency ?? 1000,
            perClient: smtp.perClient ?? 100,
            relayFrom: smtp.relayFrom ?? [],
            rules: smtp.rules ?? [],
          },
    submission: completeSubmission(input.services?.submission, { sandbox, tls: tls.length > 0 }),
    qmtp: qmailListener(input.services?.qmtp, { port: 209, sandbox }),
    qmqp: qmailListener(input.services?.qmqp, { port: 628, sandbox }),
    pop3: completePop3(input.services?.pop3, { sandbox, tls: own ? [own] : tls }),
    hubs: input.client ? list(input.client.hub) : null,
    srsDomain: input.remote?.srsDomain ?? null,
    logGroup: input.logGroup ?? null,
    control,
  };
}

function bounceControls({ format, maxBytes }: NonNullable<ConfigInput["bounces"]>) {
  return {
    ...(format === undefined ? {} : { bounceformat: [format] }),
    ...(maxBytes === undefined ? {} : { bouncemaxbytes: [String(maxBytes)] }),
  };
}

/** What is remembered for a run without config file must not depend on where that is. */
function absolute(
  input: ConfigInput,
  paths: Pick<ConfigInput, "home" | "tls">,
  pop3: Certificate | null,
): ConfigInput {
  const { services } = input;
  const own = pop3 && { services: { ...services, pop3: { ...services?.pop3, ...pop3 } } };
  return { ...input, ...paths, ...own };
}

function qmailListener(
  service: QmailService | undefined,
  { port, sandbox }: { port: number; sandbox: boolean },
): Config["qmtp"] {
  if (!service) return null;
  return {
    listen: list(service.listen ?? (sandbox ? `127.0.0.1:${port + 2000}` : `:${port}`)),
    concurrency: service.concurrency ?? 1000,
    relayFrom: service.relayFrom ?? [],
  };
}

function list<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
