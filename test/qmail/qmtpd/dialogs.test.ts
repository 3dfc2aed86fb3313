/** Every dialog of test/dialogs/*.qmtp and *.qmqp, against the program and the service. */

import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { QMQP_DOOR } from "../../../qmail/qmqpd/qmail-qmqpd.ts";
import { QMTP_DOOR } from "../../../qmail/qmtpd/qmail-qmtpd.ts";
import { parseDialog, playProgram, playService } from "./_dialog.ts";

const DIALOGS = new URL("../../dialogs/", import.meta.url);
const DOORS = {
  qmtp: { door: QMTP_DOOR, file: "qmtpd/qmail-qmtpd" },
  qmqp: { door: QMQP_DOOR, file: "qmqpd/qmail-qmqpd" },
} as const;

for (const name of readdirSync(DIALOGS)) {
  const kind = name.split(".").at(-1) as keyof typeof DOORS;
  if (!(kind in DOORS)) continue;
  const { door, file } = DOORS[kind];
  const dialog = parseDialog(readFileSync(new URL(name, DIALOGS), "utf8"));
  test(`${name}: program`, () => playProgram(dialog, file));
  test(`${name}: service, byte by byte`, () => playService(dialog, door, 1));
}
