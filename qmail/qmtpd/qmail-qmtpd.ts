/** qmail-qmtpd: receives mail by QMTP (qmail-qmtpd(8)). */

import { readSmtpdControls } from "../smtpd/controls.ts";
import { type Door, runDoor } from "./service.ts";
import { QmtpSession } from "./session.ts";

/** What makes the program and the service this protocol's. */
export const QMTP_DOOR: Door = {
  name: "qmtpd",
  open: true,
  prepare(home, env) {
    const { me, databytes, rcpthosts, limits } = readSmtpdControls(home, env);
    return {
      limits,
      session: (context, relayclient) =>
        new QmtpSession({
          ...context,
          client: { ...context.client, local: env.TCPLOCALHOST ?? me ?? "unknown" },
          databytes,
          maxRcpt: limits.maxRcpt,
          relayclient,
          allows: (recipient) => rcpthosts.allows(recipient),
        }),
    };
  },
};

if (import.meta.main) await runDoor(QMTP_DOOR);
