/** The life of the SMTP service's process: bind, give up root, serve, read again, end. */

import { EXIT } from "../exit.ts";
import { become } from "../files/become.ts";
import { closeInherited } from "../files/inherited.ts";
import { readIds } from "../ids.ts";
import { serviceCertificates } from "../net/service-certificates.ts";
import type { Certificates } from "../net/tls.ts";
import { networkQueue } from "../queue/network-queue.ts";
import { programQueue } from "../queue/program-queue.ts";
import { sayReady } from "../supervise/ready.ts";
import type { PasswordStore } from "./auth.ts";
import { startAuthHelper } from "./auth-helper.ts";
import { LogBatch, warning } from "./log.ts";
import type { SmtpdOptions } from "./options.ts";
import { type ServerParts, SmtpServer } from "./server.ts";
import { openStore } from "./store.ts";

/** A queue that is away for longer than this at the start is worth a line. */
const QUEUE_WAIT_MS = 10_000;

type Log = (line: string) => void;

/** Serves from the qmail home `home` until SIGTERM. Throws when it cannot begin, with a text for a person. */
export async function runService(home: string, options: SmtpdOptions): Promise<void> {
  closeInherited();
  process.chdir(home);
  const ids = readIds(".");
  const batch = new LogBatch(process.stdout);
  // Without a reader the log is lost, the mail is not.
  process.stdout.on("error", () => {});
  const log = (line: string) => batch.add(line);
  const server = new SmtpServer({ ...options, home: ".", env: process.env, log });
  await server.bind();
  const root = !ids.sandbox && process.getuid?.() === 0;
  const helper = root && options.auth ? startAuthHelper(options.auth, home) : null;
  const certificates = theCertificates(options, root, log);
  // For good, and before the first byte from the network is read.
  if (root) become({ uid: ids.uid.qmaild, gid: ids.gid.nofiles });
  const { queueFor, ready } = theQueue(process.env.QMAILQUEUE, log);
  server.serve({
    queueFor,
    certificates,
    auth: theAuth(options, helper, log),
  });
  process.on("SIGHUP", () => {
    reread(server, log);
    certificates?.reread();
  });
  const end = async () => {
    await server.end();
    batch.flush();
    process.exit(EXIT.ok);
  };
  process.once("SIGTERM", () => void end());
  process.once("SIGINT", () => void end());
  await ready;
  sayReady();
}

function theCertificates(
  { certificates }: SmtpdOptions,
  root: boolean,
  log: Log,
): Certificates | null {
  return serviceCertificates(certificates, { root, warn: (text) => log(warning(text)) });
}

/** To look passwords up needs root: a helper that has kept it does it for us. */
function theAuth(
  { auth }: SmtpdOptions,
  helper: PasswordStore | null,
  log: Log,
): ServerParts["auth"] {
  if (!auth) return null;
  const warn = (text: string) => log(warning(text));
  return { store: helper ?? openStore(auth, { home: ".", warn }), withoutTls: auth.withoutTls };
}

/** Until the queue is there clients hear that it is not: a message refused for now is not lost. */
function theQueue(
  every: string | undefined,
  log: Log,
): Pick<ServerParts, "queueFor"> & { ready: Promise<void> } {
  const queue = networkQueue(".");
  const queueFor: ServerParts["queueFor"] = (own, program) =>
    program ? programQueue(program, own()) : queue;
  // Where all mail goes to a program, qmail-send may be on another machine.
  if (every) return { queueFor, ready: Promise.resolve() };
  const timer = setTimeout(() => {
    log(warning("cannot reach qmail-queue, messages are refused for now: is qmail-send running?"));
  }, QUEUE_WAIT_MS);
  return { queueFor, ready: queue.connect().then(() => clearTimeout(timer)) };
}

function reread(server: SmtpServer, log: Log): void {
  try {
    server.reread();
  } catch (error) {
    log(warning(`${(error as Error).message}, the old controls stay`));
  }
}
