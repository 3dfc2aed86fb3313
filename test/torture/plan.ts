/** What the harness and the processes of a tortured site say to each other. */

/** The call at which a process is killed. */
export interface Kill {
  /** Name of the program file: "queue-server", "qmail-start" (which is qmail-send), "qmail-local", "qmail-queue". */
  readonly role: string;
  /** Its so-manieth call that changes or syncs a file, from 1. */
  readonly at: number;
  /** Before the call, after it, or with half of its bytes written. */
  readonly when: "before" | "after" | "half";
  /** Only this process, or all of the site with it. */
  readonly scope: "one" | "all";
  /** Counting begins when this file is there; at once when absent. */
  readonly arm?: string;
  /** Where the process leaves word of the call it died at. */
  readonly note: string;
}

/** A sync that is broken on purpose, to see that the harness notices. */
export interface Fault {
  /** Regular expression for the path of the file or directory. */
  readonly path: string;
  /** Never done, or done after it was said to be done. */
  readonly what: "skip" | "late";
}

/** Everything that may happen in another order, or fail, without a crash (order-hooks.ts). */
export interface OrderPlan {
  readonly seed: number;
  /** Of 1,000 calls of the thread pool so many are held back. */
  readonly holds: number;
  /** For at most so many milliseconds: most for a few, some for all of it. */
  readonly holdMs: number;
  /** Of 100,000 calls so many fail. */
  readonly failures: number;
  /** Every sync takes at least so many milliseconds. */
  readonly flushMs: number;
  /** Calls are written down here. */
  readonly trace?: string;
  /** The file that says what the clock shows (clock-hooks.ts). */
  readonly clock?: string;
}

export interface Plan {
  /** The qmail home. */
  readonly site: string;
  readonly orders?: OrderPlan;
  readonly kill?: Kill;
  /** Changes and syncs are appended to this file. */
  readonly trace?: string;
  readonly faults?: readonly Fault[];
  /** Links into todo/ are made some time after they were said to be made. */
  readonly lateLinks?: boolean;
  /** statfs names a filesystem that nothing is known of. */
  readonly unknownFilesystem?: boolean;
}

/** One change of a file, as the trace has it. Handles are numbered for each process, never used again. */
export type Change =
  | {
      readonly op: "open";
      readonly path: string;
      readonly handle: number;
      readonly created: boolean;
    }
  | { readonly op: "write"; readonly handle: number; readonly at: number; readonly data: string }
  | { readonly op: "truncate"; readonly handle: number; readonly size: number }
  | { readonly op: "times"; readonly path: string; readonly mtime: number }
  | { readonly op: "link" | "rename"; readonly from: string; readonly to: string }
  | { readonly op: "unlink"; readonly path: string };

export interface SyncEvent {
  readonly op: "sync";
  readonly handle: number;
  readonly sync: number;
  readonly phase: "begin" | "end";
}

/** A message was answered with success. */
export interface AnswerEvent {
  readonly op: "answer";
  readonly token: string;
}

/** `process` is the role and the pid: "queue-server.123". */
export type TraceEvent = (Change | SyncEvent | AnswerEvent) & { readonly process: string };
