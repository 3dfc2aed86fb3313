/** qmail-qmqpd: receives mail by QMQP, from clients that may send to anybody (qmail-qmqpd(8)). */

import { Control } from "../control/control.ts";
import { type Door, runDoor } from "../qmtpd/service.ts";
import { databytesOf } from "../smtpd/controls.ts";
import { readLimits } from "../smtpd/limits.ts";
import { QmqpSession } from "./session.ts";

/** It has no way to say that the rest must come in another message, and mailing lists send by it. */
const RECIPIENTS = 50_000;

/** What makes the program and the service this protocol's. */
export const QMQP_DOOR: Door = {
  name: "qmqpd",
  open: false,
  prepare(home, env) {
    const control = new Control(home);
    const local = env.TCPLOCALHOST ?? control.line("me");
    const databytes = databytesOf(env) ?? control.int("databytes", 0);
    const maxRcpt = control.int("maxrcptqmqpd", RECIPIENTS);
    return {
      limits: readLimits(control, { env, databytes }),
      session(context) {
        const client = local ? { ...context.client, local } : context.client;
        return new QmqpSession({ ...context, client, databytes, maxRcpt });
      },
    };
  },
};

if (import.meta.main) await runDoor(QMQP_DOOR);
