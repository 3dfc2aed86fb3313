/** Exports the queue in the home given to standard output, as `qmailctl queue export` does. */

import { queueExport } from "../../../commands/queue/export.ts";
import { Captured } from "../_output.ts";

const [home = "", format = ""] = process.argv.slice(2);
await queueExport({ home, selection: {}, format, file: null, output: new Captured() });
