/** What an SMTP session needs from the world around it, so that the doors and tests can give it each their own. */

import type { TlsState } from "../net/connection.ts";
import type { QueueDoor } from "../queue/qmail.ts";
import type { SmtpdControls } from "./controls.ts";
import type { Limits } from "./limits.ts";
import type { LoginContext } from "./login.ts";
import type { Peer } from "./received.ts";
import type { Rewriting } from "./rewriting.ts";
import type { SubmissionPolicy } from "./transaction.ts";

/** What is known of a client when its message goes into the queue. */
export interface Credentials {
  readonly user: string | null;
  readonly tls: TlsState | null;
}

export interface SessionContext {
  /** Names the session in the log. */
  readonly id: string;
  readonly peer: Peer;
  /** Our name in Received. */
  readonly local: string;
  /** As they are when the session begins. */
  readonly controls: SmtpdControls;
  /** Not null: any recipient is taken, with this behind it. */
  readonly relayclient: string | null;
  readonly isOwnAddress: (ip: string) => boolean;
  /** Where its messages go. */
  readonly queue: (credentials: Credentials) => QueueDoor;
  /** STARTTLS is offered. */
  readonly startTls: boolean;
  /** Null: AUTH is not offered. */
  readonly login: LoginContext | null;
  /** Null: mail from other hosts. */
  readonly submission: SubmissionPolicy | null;
  /** What is done with the messages of mail programs; null: those of servers pass untouched. */
  readonly rewriting: Rewriting | null;
  /** How much patience there is now. */
  readonly limits: () => Limits;
  /** Whether there is room in the queue for so many bytes more. */
  readonly hasRoom: (bytes: number) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly clock: () => number;
  readonly log: (line: string) => void;
}
