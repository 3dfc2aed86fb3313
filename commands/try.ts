/** `qmailctl try`, the work of `npm start`: from the config file to a message in a mailbox, in one go. */

import { readdirSync, readFileSync, watch } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import kleur from "kleur";
import { parseListen } from "../qmail/net/address.ts";
import type { Config } from "./config.ts";
import { install } from "./install.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { start } from "./start.ts";

const ARRIVAL_MS = 30_000;

/** Where the first message goes: an alias of the config with a Maildir. */
interface Recipient {
  readonly address: string;
  /** Absolute. */
  readonly maildir: string;
}

/** Installs, starts, sends a message through SMTP, and waits for it; does only what is not done yet. */
export async function tryOut({
  config,
  output,
}: {
  config: Config;
  output: Output;
}): Promise<void> {
  const listen = parseListen(config.smtp?.listen[0] ?? "");
  const recipient = firstRecipient(config);
  if (!listen || !recipient) {
    throw new UsageError(
      "the config has nothing to try: it needs the SMTP service and an alias with a Maildir",
      ['for example: aliases: { you: "./you/Maildir/" }'],
    );
  }
  const quiet: Output = { ...output, data() {} };
  const { changed } = await install({ config, brief: true, output: quiet });
  await start({ home: config.home, output: quiet });
  const before = messages(recipient.maildir);
  if (before.length > 0) {
    output.data({ home: config.home, changed, sent: false, message: before[0] });
    output.line(`A message has arrived before: ${before[0]}`);
    output.line(changed ? "No other was sent." : "Nothing had to be done.");
  } else {
    const reply = await sendFirst(listen, config, recipient.address);
    const path = await arrival(recipient.maildir);
    output.data({ home: config.home, changed, sent: true, message: path });
    output.line(
      `${kleur.green("✓")} SMTP on ${config.smtp?.listen[0]} took a message: ${kleur.bold(reply)}`,
    );
    output.line(`${kleur.green("✓")} It arrived: ${path}`);
    output.line();
    output.line(indent(readFileSync(path, "utf8")));
  }
  output.line();
  for (const line of whatNext(listen.port, recipient.address)) output.line(line);
}

function firstRecipient({ aliases, host, home }: Config): Recipient | null {
  for (const [name, lines] of Object.entries(aliases)) {
    const maildir = lines.find((line) => /^\.\/.*\/$/.test(line));
    if (maildir && host) {
      return { address: `${name}@${host}`, maildir: join(home, "alias", maildir) };
    }
  }
  return null;
}

/** Paths of the messages in a Maildir, read or not. */
function messages(maildir: string): string[] {
  return ["new", "cur"].flatMap((sub) =>
    readdirSync(join(maildir, sub)).map((name) => join(maildir, sub, name)),
  );
}

/** Speaks SMTP as any client does. Resolves with the answer to the message. */
async function sendFirst(
  { host, port }: { host: string | undefined; port: number },
  config: Config,
  to: string,
): Promise<string> {
  const socket = connect(port, host ?? "127.0.0.1");
  const lines = [
    `HELO ${config.host}`,
    `MAIL FROM:<postmaster@${config.host}>`,
    `RCPT TO:<${to}>`,
    "DATA",
    [
      `From: postmaster@${config.host}`,
      `To: ${to}`,
      "Subject: It works",
      "",
      "This message came in through SMTP, was written to the queue and synced,",
      "and delivered to this Maildir. Welcome to qmail.",
      ".",
    ].join("\r\n"),
    "QUIT",
  ];
  try {
    let accepted = "";
    const replies = readReplies(socket);
    for (const line of ["", ...lines]) {
      if (line !== "") socket.write(`${line}\r\n`);
      const { value: reply = "the connection ended" } = await replies.next();
      if (!/^[23]/.test(reply)) {
        throw new CommandError(`the SMTP service refused the message: ${reply}`, {
          hints: ["see qmailctl log"],
        });
      }
      if (line.endsWith("\r\n.")) accepted = reply;
    }
    return accepted;
  } finally {
    socket.destroy();
  }
}

async function* readReplies(socket: Socket): AsyncGenerator<string, undefined> {
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (line[3] !== "-") yield line;
    }
  }
  return undefined;
}

function arrival(maildir: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const watcher = watch(join(maildir, "new"));
    const timer = setTimeout(() => {
      watcher.close();
      reject(
        new CommandError(`the message was accepted but has not arrived in ${maildir}`, {
          hints: ["see qmailctl log, and qmailctl queue list"],
        }),
      );
    }, ARRIVAL_MS);
    const look = () => {
      const [path] = messages(maildir);
      if (path === undefined) return;
      clearTimeout(timer);
      watcher.close();
      resolve(path);
    };
    watcher.on("change", look);
    look();
  });
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => kleur.dim(`    ${line}`))
    .join("\n");
}

function whatNext(port: number, address: string): string[] {
  const commands = [
    ["what runs", "npx qmailctl status"],
    ["what it says", "npx qmailctl log --follow"],
    ["what waits", "npx qmailctl queue list"],
    ["one more", `npx qmailctl send --to ${address} --body hello`],
    ["the same by SMTP", `swaks --server 127.0.0.1:${port} --to ${address}`],
    ["the end", "npx qmailctl stop"],
  ] as const;
  const width = Math.max(...commands.map(([what]) => what.length));
  return [
    "What to try next:",
    ...commands.map(([what, command]) => `  ${kleur.dim(what.padEnd(width))}  ${command}`),
  ];
}
