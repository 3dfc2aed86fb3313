/** qail: Mail(1) on the mail of a Maildir. */

import { readMail } from "./mail-reader.ts";

if (import.meta.main) await readMail("qail", ["Mail", "-f", process.env.MAIL ?? ""]);
