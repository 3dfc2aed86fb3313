/** qmail-send with a real queue server and the log on standard output; the spawners are descriptors 3 and 4. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { programPath } from "../../../qmail/programs.ts";
import { alert } from "../../../qmail/send/log.ts";
import { qmailSend } from "../../../qmail/send/qmail-send.ts";
import { takeQueue } from "../../../qmail/send/queue-lock.ts";

const log = {
  full: false,
  write: (text: string) => void writeSync(1, text, null, "latin1"),
  end: () => Promise.resolve(),
};

/** As qmail-start does. */
function takeOrLeave(): number {
  try {
    return takeQueue("queue");
  } catch (error) {
    log.write(alert(`cannot start: ${(error as Error).message}`));
    process.exit(111);
  }
}

const mutex = takeOrLeave();
const server = spawn(process.execPath, [programPath("queue/queue-server")], {
  stdio: ["ignore", "inherit", "inherit", "pipe", mutex],
});
const left = once(server, "exit");
const code = await qmailSend({
  log,
  queue: server.stdio[3] as Socket,
  lspawn: new Socket({ fd: 3 }),
  rspawn: new Socket({ fd: 4 }),
});
(server.stdio[3] as Socket).destroy();
await left;
process.exit(code);
