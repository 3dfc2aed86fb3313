/** The domain and the secrets of SRS: control/srsdomain and control/srssecrets. */

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Control } from "../control/control.ts";
import { exposure } from "../files/secret.ts";
import type { SrsKeys } from "./srs.ts";

/** Null when control/srsdomain does not ask for SRS. Throws when the secrets are missing, or open to everybody. */
export function readSrsKeys(home: string, control: Control): SrsKeys | null {
  const domain = control.line("srsdomain");
  if (!domain) return null;
  const secrets = control.lines("srssecrets");
  if (!secrets || secrets.length === 0) {
    throw new Error("cannot use SRS: control/srssecrets is missing or empty");
  }
  const why = exposure(statSync(join(home, "control/srssecrets")));
  if (why) throw new Error(`cannot use SRS: control/srssecrets is no secret: ${why}`);
  return { domain, secrets };
}
