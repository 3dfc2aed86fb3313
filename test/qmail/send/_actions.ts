/** Asking a qmail-send for actions. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import type { MessId } from "../../../qmail/queue/fmtqfn.ts";
import { madeOf } from "../../../qmail/queue/made.ts";
import type { Action, Target } from "../../../qmail/send/action.ts";
import { ActionClient } from "../../../qmail/send/action-client.ts";
import type { Answer } from "../../../qmail/send/action-protocol.ts";
import type { SendRig } from "./_send.ts";

/** Connects to the rig's qmail-send. */
export async function connectTo(rig: SendRig): Promise<ActionClient> {
  const client = await ActionClient.connect(rig.home);
  assert.ok(client);
  return client;
}

/** The message as it is seen now. */
export function target(rig: SendRig, id: MessId, recipients?: readonly string[]): Target {
  const made = madeOf(statSync(rig.path("mess", id)));
  return { id, made, ...(recipients ? { recipients } : {}) };
}

/** Has `action` done and collects the answers. */
export async function act(
  client: ActionClient,
  action: Action,
  { targets, wait = 60 }: { targets: readonly Target[]; wait?: number },
): Promise<Omit<Answer, "made">[]> {
  const answers: Omit<Answer, "made">[] = [];
  for await (const { made: _, ...answer } of client.act(action, targets, wait)) {
    answers.push(answer);
  }
  return answers;
}
