/** qmail-qmtpd: receives mail by QMTP (qmail-qmtpd(8)). */

import { readSmtpdControls, recipientVerdict } from "../smtpd/controls.ts";
import { type Door, runDoor } from "./service.ts";
import { QmtpSession } from "./session.ts";

/** What makes the program and the service this protocol's. */
export const QMTP_DOOR: Door = {
  name: "qmtpd",
  open: true,
  prepare(home, env) {
    const controls = readSmtpdControls(home);
    const databytes = Number.parseInt(env.DATABYTES ?? "", 10) || 0;
    return (context, relayclient) =>
      new QmtpSession({
        ...context,
        client: { ...context.client, local: env.TCPLOCALHOST ?? controls.me },
        databytes: env.DATABYTES === undefined ? controls.databytes : databytes,
        relayclient,
        allows: (recipient) => recipientVerdict(controls, recipient) === "allowed",
      });
  },
};

if (import.meta.main) await runDoor(QMTP_DOOR);
