/** What every message of a mail program must have in its header, and may lack (RFC 6409 section 8). */

import { date822 } from "../date822.ts";
import { HeaderCompleter } from "./completer.ts";
import type { Rewriting } from "./rewriting.ts";

let messages = 0;

/** For submission: what lacks is added, all else stays as the mail program made it. */
export function completing(idhost: string): Rewriting {
  return {
    sender: (address) => address,
    recipient: (address) => address,
    header: () => new HeaderCompleter({ fields: submissionFields(idhost) }),
  };
}

/** The fields by their names in lower case, each with its newline; made for one message. */
function submissionFields(
  idhost: string,
  now = Math.floor(Date.now() / 1000),
): Readonly<Record<string, string>> {
  const stamp = new Date(now * 1000).toISOString().slice(0, 19).replace(/\D/g, "");
  // One process takes many messages in a second: they are counted.
  const id = `${stamp}.${process.pid}.${++messages}.qmail@${idhost}`;
  return { date: `Date: ${date822(now)}\n`, "message-id": `Message-ID: <${id}>\n` };
}
