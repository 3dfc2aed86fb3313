/** qmail-qmqpd: receives mail by QMQP, from clients that may send to anybody (qmail-qmqpd(8)). */

import { Control } from "../control/control.ts";
import { type Door, runDoor } from "../qmtpd/service.ts";
import { QmqpSession } from "./session.ts";

/** What makes the program and the service this protocol's. */
export const QMQP_DOOR: Door = {
  name: "qmqpd",
  open: false,
  prepare(home, env) {
    const local = env.TCPLOCALHOST ?? new Control(home).line("me");
    return (context) =>
      new QmqpSession(local ? { ...context, client: { ...context.client, local } } : context);
  },
};

if (import.meta.main) await runDoor(QMQP_DOOR);
