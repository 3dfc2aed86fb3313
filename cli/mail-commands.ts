/** explain, send and tls-report: one address, one message, how it went with other hosts. */

import type { CAC } from "cac";
import { UsageError } from "../commands/output.ts";
import { text, texts } from "./arguments.ts";
import { common, type Flags } from "./flags.ts";

/** Adds the commands about one address or message. */
export function mailCommands(cli: CAC): void {
  cli
    .command("explain <address>", "Say what would become of mail for an address, and why")
    .example("  qmailctl explain joe-list@mail.example.com")
    .action(async (address: string, flags: Flags) => {
      const { explain } = await import("../commands/explain.ts");
      await explain({ ...(await common(flags)), address: String(address) });
    });
  cli
    .command("send [...to]", "Send a message: built from flags, or read from standard input")
    .option("--from <address>", "The sender")
    .option("--to <address>", "A recipient (may be repeated)")
    .option("--subject <text>", "The subject")
    .option("--body <text>", "The text (default: standard input)")
    .option("--trace", "Send a test message past the queue, showing all that happens")
    .example("  qmailctl send --to you@mail.example.com --subject hello --body 'hello there'")
    .action(async (to: readonly string[], flags: Flags) => {
      if (flags.trace === true) return traceOne([...to, ...texts(flags.to)], flags);
      const { send } = await import("../commands/send.ts");
      const options = await common(flags);
      if (process.stdin.isTTY && flags.body === undefined) {
        options.output.note("Write the message; Ctrl-D ends it.");
      }
      await send({
        ...options,
        to: [...texts(to), ...texts(flags.to)],
        input: process.stdin,
        ...text("from", flags.from),
        ...text("subject", flags.subject),
        ...text("body", flags.body),
      });
    });
  cli
    .command("tls-report [day]", "Show how TLS with other domains went on a day")
    .option("--domain <name>", "Only about this domain")
    .example("  qmailctl tls-report 2026-11-24 --domain example.com --json")
    .action(async (day: unknown, flags: Flags) => {
      const { tlsReport } = await import("../commands/tls-report.ts");
      tlsReport({ ...(await common(flags)), ...text("day", day), ...text("domain", flags.domain) });
    });
}

async function traceOne(to: readonly string[], flags: Flags): Promise<void> {
  const [address, ...more] = to;
  if (address === undefined || more.length > 0) throw new UsageError("--trace needs one address");
  const { trace } = await import("../commands/trace.ts");
  await trace({ ...(await common(flags)), to: address, ...text("from", flags.from) });
}
