/** `qmailctl explain`: what would become of mail for an address, decision by decision, without sending any. */

import { toBytes } from "../qmail/arguments.ts";
import { EXIT } from "../qmail/exit.ts";
import { toText } from "../qmail/inject/context.ts";
import { explanationLines } from "./explain/print.ts";
import { openSite } from "./explain/site.ts";
import { type Explanation, walk } from "./explain/walk.ts";
import type { Output } from "./output.ts";

const EXIT_CODES = { K: EXIT.ok, D: EXIT.hard, Z: EXIT.soft } as const;

/** Explains `address`; the exit code is 0 when it would be delivered, 100 for a bounce, 111 for a deferral. */
export async function explain(options: {
  readonly home: string;
  readonly address: string;
  readonly output: Output;
}): Promise<void> {
  const { home, address, output } = options;
  const explanation = readable(await walk(openSite(home), toBytes(address)));
  output.data(explanation);
  for (const line of explanationLines(explanation)) output.line(line);
  process.exitCode = EXIT_CODES[explanation.outcome];
}

/** Its byte strings as text for a person. */
function readable(explanation: Explanation): Explanation {
  return JSON.parse(JSON.stringify(explanation), (_, value) =>
    typeof value === "string" ? toText(value) : value,
  );
}
