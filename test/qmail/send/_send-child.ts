/** qmail-send with a real queue server and the log on standard output; the spawners are descriptors 3 and 4. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { programPath } from "../../../qmail/programs.ts";
import { qmailSend } from "../../../qmail/send/qmail-send.ts";

const log = {
  full: false,
  write: (text: string) => void writeSync(1, text, null, "latin1"),
  end: () => Promise.resolve(),
};

const server = spawn(process.execPath, [programPath("queue/queue-server")], {
  stdio: ["ignore", "inherit", "inherit", "pipe"],
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
