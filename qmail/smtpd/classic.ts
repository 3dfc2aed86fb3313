/** The classic door: one session on descriptors 0 and 1; the environment says with whom (tcp-environ(5)). */

import { fstatSync } from "node:fs";
import { Connection } from "../net/connection.ts";
import { clock } from "../net/deadline.ts";
import { NO_GUARD } from "../net/login-brakes.ts";
import { localQueue } from "../queue/local-queue.ts";
import { queueSpace } from "../queue/space.ts";
import { provedEnvironment } from "./client-environment.ts";
import { readSmtpdControls, type SmtpdControls } from "./controls.ts";
import { completing } from "./headerfields.ts";
import { ownAddresses } from "./ipme.ts";
import { LogBatch, NO_RCPTHOSTS, warning } from "./log.ts";
import type { SmtpdOptions } from "./options.ts";
import * as replies from "./replies.ts";
import type { Rewriting } from "./rewriting.ts";
import { Session } from "./session.ts";
import type { SessionContext } from "./session-context.ts";

/** C qmail's code for everything but QUIT that ends a session. */
const BROKEN = 1;

/** What sendmail -bs says of its user, who would read our log as a complaint. */
const SENDMAIL = "sendmail-bs";

export interface ClassicOptions extends SmtpdOptions {
  /** For doors that are for mail programs alone; made when the session begins, and may throw. */
  readonly rewriting?: () => Rewriting;
}

interface Classic {
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly options: ClassicOptions;
  readonly log: (line: string) => void;
}

/** Converses, and ends the process with C qmail's exit code. `home` is the qmail home. */
export async function oneSession(
  home: string,
  env: NodeJS.ProcessEnv,
  options: ClassicOptions,
): Promise<void> {
  const { stdin, stdout } = process;
  const batch = new LogBatch(process.stderr);
  const silent = stderrIsClient() || env.TCPREMOTEINFO === SENDMAIL;
  const log = silent ? () => {} : (line: string) => batch.add(line);
  const classic: Classic = { home, env, options, log };
  let controls: SmtpdControls;
  let secure: Awaited<ReturnType<typeof tls>>;
  let context: SessionContext;
  try {
    controls = readSmtpdControls(home, env);
    secure = await tls(classic);
    context = await contextOf(classic, controls);
  } catch (error) {
    log(warning((error as Error).message));
    batch.flush();
    stdout.write(replies.unableToReadControls(), () => process.exit(BROKEN));
    return;
  }
  if (controls.rcpthosts.missing && env.RELAYCLIENT === undefined) log(warning(NO_RCPTHOSTS));
  const leave = (code: number) => {
    batch.flush();
    process.exit(code);
  };
  new Connection(
    {
      ends: {
        input: stdin,
        output: stdout,
        finish: (clean) => stdout.end(() => leave(clean ? 0 : BROKEN)),
        destroy: () => leave(BROKEN),
      },
      ...secure,
    },
    (wire) => new Session(context, wire),
  );
}

/** Under inetd descriptor 2 is the client too: a log line there would be in its way. */
function stderrIsClient(): boolean {
  const [client, stderr] = [fstatSync(0), fstatSync(2)];
  return client.isSocket() && stderr.ino === client.ino && stderr.dev === client.dev;
}

/** Loaded only where it is wanted: a program that is started for each connection must start fast. */
async function tls({ options, log }: Classic) {
  if (options.certificates.length === 0) return {};
  const { Certificates } = await import("../net/tls.ts");
  const certificates = new Certificates({
    files: options.certificates,
    user: { name: `uid ${process.geteuid?.()}`, group: String(process.getegid?.()) },
    warn: (text) => log(warning(text)),
  });
  return { secure: certificates.secure.bind(certificates) };
}

async function contextOf(classic: Classic, controls: SmtpdControls): Promise<SessionContext> {
  const { home, env, options, log } = classic;
  const local = env.TCPLOCALHOST ?? env.TCPLOCALIP ?? "unknown";
  const { limits } = controls;
  const space = queueSpace(home);
  return {
    id: String(process.pid),
    peer: {
      ip: env.TCPREMOTEIP ?? "unknown",
      host: env.TCPREMOTEHOST ?? "unknown",
      info: env.TCPREMOTEINFO ?? null,
    },
    local,
    controls,
    relayclient: env.RELAYCLIENT ?? null,
    isOwnAddress: (ip) => ownAddresses().has(ip),
    queue: (credentials) => localQueue(home, { ...env, ...provedEnvironment(credentials) }),
    startTls: options.certificates.length > 0,
    login: await loginOf(classic, controls.me ?? local),
    submission: options.submission,
    rewriting: options.rewriting?.() ?? (options.submission && completing(controls.idhost)),
    limits: () => limits,
    hasRoom: (bytes) => space.has(bytes, limits),
    now: Date.now,
    clock,
    log,
  };
}

async function loginOf(
  { home, options, log }: Classic,
  host: string,
): Promise<SessionContext["login"]> {
  if (!options.auth) return null;
  const { openStore } = await import("./store.ts");
  const store = openStore(options.auth, { home, warn: (text) => log(warning(text)) });
  const { withoutTls } = options.auth;
  // The process lives for one session, which bounds the failures by itself.
  const guard = NO_GUARD;
  return { store, guard, host, withoutTls };
}
