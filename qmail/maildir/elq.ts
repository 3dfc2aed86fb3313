/** elq: elm(1) on the mail of a Maildir. */

import { readMail } from "./mail-reader.ts";

if (import.meta.main) await readMail("elq", ["elm"]);
