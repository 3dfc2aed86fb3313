/** A worker for tests: "spin" stands the loop still, "wait" waits for good, all else is delivered. */

import { serveWork } from "../../../qmail/spawn/worker.ts";

serveWork(() => ({
  work: async ([what]) => {
    while (what === "spin");
    if (what === "wait") await new Promise(() => {});
    return { status: "K", text: `${what}\n` };
  },
}));
