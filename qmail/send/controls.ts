/** The control files of qmail-send: read at its start, locals and virtualdomains again at SIGHUP. */

import type { Control } from "../control/control.ts";
import { type BounceOptions, readBounceOptions } from "./bounce.ts";
import type { Channel } from "./log.ts";
import { type RewriteTables, readLocals, readTables, readVirtualdomains } from "./rewrite.ts";

export interface Controls {
  /** Seconds after which a message is tried for the last time. */
  readonly lifetime: number;
  readonly concurrency: Readonly<Record<Channel, number>>;
  readonly bounces: BounceOptions;
  readonly tables: RewriteTables;
}

/** Everything that qmail-send is told. Throws when a file cannot be read. */
export function readControls(control: Control): Controls {
  return {
    lifetime: control.int("queuelifetime", 604_800),
    concurrency: {
      local: control.int("concurrencylocal", 10),
      remote: control.int("concurrencyremote", 20),
    },
    bounces: readBounceOptions(control),
    tables: readTables(control),
  };
}

/** A control file that could not be read again. */
export class RereadError extends Error {}

/** `tables` with locals and virtualdomains as they are now, both or neither. Throws RereadError. */
export function rereadTables(control: Control, tables: RewriteTables): RewriteTables {
  let reading = "locals";
  try {
    const locals = readLocals(control);
    reading = "virtualdomains";
    return { ...tables, locals, virtualdomains: readVirtualdomains(control) };
  } catch (cause) {
    throw new RereadError(`unable to reread control/${reading}`, { cause });
  }
}
