/**
 * sendmail: the door for programs that know no other. Takes the options that programs use, and hands
 * the message to qmail-inject (C qmail: sendmail.c).
 */

import { join } from "node:path";
import { type ByteEnv, programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { getopt } from "../getopt.ts";
import { plainAddresses } from "./addresslist.ts";
import { type Context, exitWith, type Outcome, programContext, refused } from "./context.ts";
import { withoutCarriageReturns } from "./crlf.ts";
import { senderEnv } from "./identity.ts";

export interface SendmailContext extends Context {
  /** The name it was called by: sendmail, mailq or newaliases. */
  readonly name: string;
  /** Runs `program` of the home's bin with our standard input and output, and `variables` added. */
  run(program: string, variables: Readonly<Record<string, string>>): Promise<Outcome>;
  /** Has qmail-send try its whole queue now; false when we may not ask for that, or nothing runs. */
  flush(): Promise<boolean>;
}

const USAGE = "usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bi ] [ -bp ] [ -bs ] [ arg ... ]";

/** All that any sendmail takes; what is not looked at below has no meaning for qmail. */
const LETTERS = "A::B:C:D:E::F:GIJ::L:N:O:R:UV:X:b:d::e:f:h:imno:p:q::r:tvx";

const FLUSH_HINT = "qmail sends its queue by itself; to have all tried now, as root: sendmail -q";

/** Modes of other sendmails. */
const MODES_REFUSED: Readonly<Record<string, string>> = {
  a: "-ba (ARPANET mode) is not supported",
  d: "-bd is not supported: the mail system is started with qmailctl start",
  D: "-bD is not supported: the mail system is started with qmailctl start --foreground",
  h: "-bh (host status) is not supported",
  H: "-bH (host status) is not supported",
  t: "-bt (address test) is not supported: qmail has no rewriting rules to test",
  v: "-bv (address verification) is not supported: qmail expands addresses at delivery",
};

/** Runs sendmail with the byte strings `args`. */
export async function sendmail(
  args: readonly string[],
  context: SendmailContext,
): Promise<Outcome> {
  if (context.name === "newaliases") return await context.run("newaliases", {});
  const parsed = getopt(args, LETTERS);
  if (typeof parsed === "string") return refused(`${parsed}; ${USAGE}`);
  const last = (letters: string) =>
    parsed.options.findLast(([letter]) => letters.includes(letter))?.[1];

  const mode = modeOf(context.name, last);
  if (mode === "i") return await context.run("newaliases", {});
  if (mode === "p") return await context.run("qmail-qread", {});
  if (mode === "s") return await context.run("qmail-smtpd", sessionEnv(context.env));
  if (mode !== "m") return refused(MODES_REFUSED[mode] ?? `unknown mode "-b${mode}"; ${USAGE}`);
  const run = last("q");
  if (run !== undefined) return await runQueue(run, context);
  return await submit(parsed.rest, context, {
    fromHeader: last("t") !== undefined,
    sender: last("fr"),
    name: last("F"),
  });
}

function modeOf(name: string, last: (letters: string) => string | undefined): string {
  if (name === "mailq") return "p";
  // An old way to say -bi.
  if (last("I") !== undefined) return "i";
  return (last("b") ?? "m").charAt(0);
}

/** `-q`; an interval behind it asks for a daemon, which qmail-send is anyway. */
async function runQueue(interval: string, context: SendmailContext): Promise<Outcome> {
  const flushed = !/^\d/.test(interval) && (await context.flush());
  return { code: EXIT.ok, message: flushed ? "" : FLUSH_HINT };
}

interface Submission {
  readonly fromHeader: boolean;
  readonly sender: string | undefined;
  readonly name: string | undefined;
}

async function submit(
  words: readonly string[],
  context: SendmailContext,
  { fromHeader, sender, name }: Submission,
): Promise<Outcome> {
  const { inject } = await import("./qmail-inject.ts");
  const args = [fromHeader ? "-H" : "-a"];
  let env = context.env;
  if (sender !== undefined) {
    const [address, ...more] = plainAddresses(sender) ?? [];
    if (address === undefined || more.length > 0) return unparsable(sender);
    args.push("-f", address);
    env = senderEnv(env, address);
  }
  if (name !== undefined) env = { ...env, QMAILNAME: name };
  args.push("--");
  for (const word of words) {
    const addresses = plainAddresses(word);
    if (addresses === null) return unparsable(word);
    args.push(...addresses);
  }
  const input = withoutCarriageReturns(context.input);
  return await inject(args, { ...context, env, input, needRecipients: true });
}

/** What qmail-smtpd wants to know of a client that is whoever started us, and may send anywhere. */
function sessionEnv(env: ByteEnv): Record<string, string> {
  if (env.PROTO !== undefined) return {};
  return {
    RELAYCLIENT: "",
    DATABYTES: "0",
    PROTO: "TCP",
    TCPLOCALIP: "127.0.0.1",
    TCPLOCALHOST: "localhost",
    TCPREMOTEIP: "127.0.0.1",
    TCPREMOTEHOST: "localhost",
    TCPREMOTEINFO: "sendmail-bs",
  };
}

function unparsable(address: string): Outcome {
  return refused(`unable to parse address: ${address}`);
}

/** The world of sendmail, called by `name`. */
export function sendmailContext(name: string): SendmailContext {
  const context = programContext();
  return {
    ...context,
    name,
    async run(program, variables) {
      const { spawn } = await import("node:child_process");
      return new Promise((resolve) => {
        const env = { ...process.env, ...variables };
        const child = spawn(join(context.home, "bin", program), { stdio: "inherit", env });
        child.on("error", (error) =>
          resolve({ code: EXIT.soft, message: `unable to run ${program}: ${error.message}` }),
        );
        child.on("close", (code) => resolve({ code: code ?? EXIT.soft, message: "" }));
      });
    },
    async flush() {
      const { ask } = await import("../supervise/control.ts");
      const request = { type: "signal", service: "qmail-send", signal: "SIGALRM" } as const;
      try {
        return (await ask(context.home, request)).ok;
      } catch {
        return false;
      }
    },
  };
}

/** How our launcher says by which name it was called: mailq and newaliases are links to it. */
const CALLED = "--called=";

if (import.meta.main) {
  const args = programArgs();
  const name = args[0]?.startsWith(CALLED) ? (args.shift() ?? "").slice(CALLED.length) : "sendmail";
  exitWith("sendmail", await sendmail(args, sendmailContext(name)));
}
