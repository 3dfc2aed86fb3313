/**
 * The one part of the SMTP service that keeps root: starts checkpassword programs, which need it, for
 * the process that talks to the network and has given it up. It takes three words in a frame and
 * answers with one byte; no byte from the network reaches it otherwise.
 */

import { spawn } from "node:child_process";
import { Socket } from "node:net";
import { Link } from "../net/link.ts";
import { programPath } from "../programs.ts";
import type { Check } from "./auth.ts";
import { warning } from "./log.ts";
import { type CheckWords, checkProgram } from "./program-store.ts";

const FRAME = { check: 1, result: 2 } as const;
const RESULTS: readonly Check[] = ["ok", "refused", "temporary"];
/** The helper's end of the link. */
const LINK_FD = 3;

/** Starts the helper, with our privileges. When it dies this process ends, to be started again whole. */
export function startAuthHelper(command: readonly string[]): CheckWords {
  const child = spawn(process.execPath, [programPath("smtpd/auth-helper"), ...command], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: process.env.QMAILHOME },
  });
  child.on("error", () => {});
  const asked = new Map<number, (check: Check) => void>();
  let last = 0;
  const link = new Link(child.stdio[LINK_FD] as Socket, {
    frame(_type, id, payload) {
      asked.get(id)?.(RESULTS[payload[0] as number] ?? "temporary");
      asked.delete(id);
    },
    close() {
      for (const answer of asked.values()) answer("temporary");
      process.kill(process.pid, "SIGTERM");
    },
  });
  return (words) =>
    new Promise((resolve) => {
      // What a word may hold is the program's affair; the end of one is ours.
      if (words.some((word) => word.includes("\0"))) resolve("refused");
      else if (link.closed) resolve("temporary");
      else {
        last = (last + 1) >>> 0;
        asked.set(last, resolve);
        link.send(FRAME.check, last, words.join("\0"));
      }
    });
}

/** Serves the link until it is closed. */
function serve(command: readonly string[]): void {
  const warn = (text: string) => void process.stdout.write(warning(text), "latin1");
  const check = checkProgram({ command, warn });
  const link = new Link(new Socket({ fd: LINK_FD }), {
    async frame(_type, id, payload) {
      const [login = "", second = "", third = ""] = payload.toString("latin1").split("\0");
      const result = await check([login, second, third]);
      link.send(FRAME.result, id, Buffer.from([RESULTS.indexOf(result)]));
    },
    close: () => process.exit(0),
  });
}

if (import.meta.main) {
  process.title = "qmail-smtpd-auth";
  serve(process.argv.slice(2));
}
