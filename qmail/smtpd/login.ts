/** AUTH in one session: which mechanisms are offered, the exchange under way, and who logged in. */

import { failedAnswer, PACE, type Pace } from "../checkpassword/pace.ts";
import {
  type AuthOptions,
  beginExchange,
  decodeWord,
  encodeWord,
  mechanisms,
  type Verdict,
} from "./auth.ts";
import * as replies from "./replies.ts";

/** Whoever fails so often in one session is sent away. */
const FAILURES_MAX = 3;

export interface LoginContext extends AuthOptions {
  /** Passwords may cross the network for all to read. */
  readonly withoutTls: boolean;
  /** For tests. */
  readonly pace?: Pace;
}

/** The next word of an exchange. */
export interface Said {
  readonly reply: string;
  readonly mechanism: string;
  /** Null while the exchange goes on. */
  readonly verdict: Verdict | null;
}

export class Login {
  readonly #context: LoginContext;
  #mechanism = "";
  #exchange: ReturnType<typeof beginExchange> = null;
  /** What the client has answered; null when that was no base64, or it gave up. */
  #heard: string | null | "*" = "";
  #user: string | null = null;
  #failures = 0;

  constructor(context: LoginContext) {
    this.#context = context;
  }

  /** Who has logged in; null: nobody yet. */
  get user(): string | null {
    return this.#user;
  }

  /** True when this client has failed too often. */
  get exhausted(): boolean {
    return this.#failures >= FAILURES_MAX;
  }

  /** The mechanisms for EHLO; none where a password would cross the network for all to read. */
  offered(tls: boolean): readonly string[] {
    return tls || this.#context.withoutTls ? mechanisms(this.#context.store) : [];
  }

  /** `AUTH argument`. A reply when it is refused; null: `next` has more. */
  begin(argument: string, tls: boolean): string | null {
    if (this.#user !== null) return replies.authAlready();
    if (!tls && !this.#context.withoutTls) return replies.authNeedsTls();
    const [name = "", word, ...more] = argument.trimEnd().split(/ +/);
    if (name === "" || more.length > 0) return replies.syntax();
    // A single "=" stands for a word of no bytes.
    const initial = word === undefined ? null : decodeWord(word === "=" ? "" : word);
    if (word !== undefined && initial === null) return replies.authMalformed();
    this.#mechanism = name.toUpperCase();
    this.#exchange = beginExchange(this.#mechanism, initial, this.#context);
    this.#heard = "";
    return this.#exchange ? null : replies.authUnknown();
  }

  /** A line of the client in the exchange. */
  hear(line: string): void {
    this.#heard = line === "*" ? "*" : decodeWord(line);
  }

  /** What we say next. */
  async next(): Promise<Said> {
    const mechanism = this.#mechanism;
    if (this.#heard === "*" || this.#heard === null) {
      const reply = this.#heard === "*" ? replies.authCancelled() : replies.authMalformed();
      return { reply, mechanism, verdict: { status: "malformed", user: "" } };
    }
    const { pace = PACE } = this.#context;
    const began = pace.now();
    const step = await this.#exchange?.next(this.#heard);
    if (!step) throw new Error("no AUTH exchange is under way");
    if (!step.done) {
      return { reply: replies.challenge(encodeWord(step.value)), mechanism, verdict: null };
    }
    const verdict = step.value;
    const { status } = verdict;
    if (status === "refused" || status === "temporary") await failedAnswer(began, pace);
    if (verdict.status === "ok") this.#user = verdict.user;
    if (verdict.status === "refused") this.#failures++;
    return { reply: REPLIES[verdict.status](), mechanism, verdict };
  }
}

const REPLIES: Readonly<Record<Verdict["status"], () => string>> = {
  ok: replies.authOk,
  refused: replies.authFailed,
  temporary: replies.authTemporary,
  braked: replies.authBraked,
  malformed: replies.authMalformed,
};
