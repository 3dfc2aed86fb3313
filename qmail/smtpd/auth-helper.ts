/**
 * The one part of the SMTP services that keeps root: it looks passwords up, which needs that, for the
 * process that talks to the network and has given it up. It takes a few words in a frame and answers
 * in one; no other byte from the network reaches it.
 */

import { spawn } from "node:child_process";
import { Socket } from "node:net";
import type { ScramKeys } from "../checkpassword/scram.ts";
import type { Check } from "../checkpassword/system.ts";
import { qmailHome } from "../home.ts";
import { heard, type Kinds, kind, text } from "../net/frames.ts";
import { Link } from "../net/link.ts";
import { nodeArguments, programPath } from "../programs.ts";
import type { PasswordStore } from "./auth.ts";
import { warning } from "./log.ts";
import { openStore, type StoreOptions } from "./store.ts";

/** Words of a question, with a NUL between them: longer ones are nobody's. */
const WORDS_MAX = 4096;

/** What is asked: a login, and what belongs to it. And the one kind of answer: JSON. */
const FRAME = {
  check: kind(1, WORDS_MAX, words(2)),
  cram: kind(2, WORDS_MAX, words(3)),
  scram: kind(3, WORDS_MAX, words(1)),
  answer: kind(4, WORDS_MAX, parseAnswer),
} as const;
type Question = "check" | "cram" | "scram";

/** What the helper hears. */
const FROM_ASKER = { check: FRAME.check, cram: FRAME.cram, scram: FRAME.scram } satisfies Kinds;

/** Questions that are answered at once; others wait to be heard. */
const ASKED_MAX = 100;
/** A frame that has begun must be whole after this time, in milliseconds. */
const FRAME_MS = 30_000;

/** The helper's end of the link. */
const LINK_FD = 3;

type Answer = { readonly check: Check } | { readonly keys: string[] | null };
const TROUBLE: Answer = { check: "temporary" };

/** Starts the helper, with our privileges. When it dies this process ends, to be started again whole. */
export function startAuthHelper(options: StoreOptions, home: string): PasswordStore {
  const args = nodeArguments(programPath("smtpd/auth-helper"), [JSON.stringify(options)]);
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: { PATH: process.env.PATH, QMAILHOME: home },
  });
  child.on("error", () => {});
  const asker = new Asker(child.stdio[LINK_FD] as Socket);
  return {
    check: (login, password) => asker.check("check", [login, password]),
    ...(options.cram
      ? {
          checkCram: (login, { challenge, response }) =>
            asker.check("cram", [login, challenge, response]),
        }
      : {}),
    ...(options.scram ? { scramKeys: (login) => asker.keys(login) } : {}),
  } satisfies PasswordStore;
}

class Asker {
  readonly #link: Link;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor(socket: Socket) {
    this.#link = new Link(socket, {
      hears: heard(
        { answer: FRAME.answer },
        {
          answer: (answer, id) => {
            this.#asked.get(id)?.(answer);
            this.#asked.delete(id);
          },
        },
      ),
      close: () => {
        for (const answer of this.#asked.values()) answer(TROUBLE);
        process.kill(process.pid, "SIGTERM");
      },
    });
  }

  async check(question: Question, words: readonly string[]): Promise<Check> {
    const answer = await this.#ask(question, words);
    return "check" in answer ? answer.check : "temporary";
  }

  async keys(login: string): Promise<ScramKeys | null> {
    const answer = await this.#ask("scram", [login]);
    if ("check" in answer) throw new Error("the keys cannot be looked up now");
    return answer.keys && parseKeys(answer.keys);
  }

  #ask(question: Question, words: readonly string[]): Promise<Answer> {
    if (this.#link.closed) return Promise.resolve(TROUBLE);
    // Between words stands a NUL: none may have one.
    const said = words.join("\0");
    if (words.some((word) => word.includes("\0")) || said.length > WORDS_MAX) {
      return Promise.resolve({ check: "refused" });
    }
    return new Promise((resolve) => {
      this.#last = (this.#last + 1) >>> 0;
      this.#asked.set(this.#last, resolve);
      this.#link.send(FRAME[question], this.#last, said);
    });
  }
}

/** What `store` says to a question; its own trouble is an answer too. */
async function answer(
  store: PasswordStore,
  question: Question,
  [login = "", second = "", third = ""]: readonly string[],
): Promise<Answer> {
  try {
    if (question === "check") return { check: await store.check(login, second) };
    if (question === "cram") {
      const said = { challenge: second, response: third };
      return { check: (await store.checkCram?.(login, said)) ?? "refused" };
    }
    const keys = (await store.scramKeys?.(login)) ?? null;
    return { keys: keys && formatKeys(keys) };
  } catch {
    return TROUBLE;
  }
}

/** Reads `count` words with a NUL between them. */
function words(count: number): (payload: Buffer) => readonly string[] | null {
  return (payload) => {
    const all = text(payload).split("\0");
    return all.length === count ? all : null;
  };
}

const CHECKS: readonly string[] = ["ok", "refused", "temporary"] satisfies Check[];

function parseAnswer(payload: Buffer): Answer | null {
  try {
    const { check, keys } = JSON.parse(text(payload)) ?? {};
    if (CHECKS.includes(check)) return { check };
    if (keys === null) return { keys };
    const areKeys = Array.isArray(keys) && keys.length === 4;
    return areKeys && keys.every((key) => typeof key === "string") ? { keys } : null;
  } catch {
    return null;
  }
}

function formatKeys({ iterations, salt, storedKey, serverKey }: ScramKeys): string[] {
  return [String(iterations), ...[salt, storedKey, serverKey].map((key) => key.toString("base64"))];
}

function parseKeys([iterations, ...keys]: readonly string[]): ScramKeys {
  const [salt, storedKey, serverKey] = keys.map((key) => Buffer.from(key, "base64")) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  return { iterations: Number(iterations), salt, storedKey, serverKey };
}

/** Serves the link until it is closed. */
function serve(options: StoreOptions): void {
  const warn = (text: string) => void process.stdout.write(warning(text), "latin1");
  const store = openStore(options, { home: qmailHome(), warn });
  let asked = 0;
  const ask = (question: Question) => (said: readonly string[], id: number) => {
    asked++;
    if (asked === ASKED_MAX) link.pause();
    void answer(store, question, said).then((answer) => {
      link.send(FRAME.answer, id, JSON.stringify(answer));
      if (asked-- === ASKED_MAX) link.resume();
    });
  };
  const link: Link = new Link(new Socket({ fd: LINK_FD }), {
    guarded: true,
    frameMs: FRAME_MS,
    hears: heard(FROM_ASKER, { check: ask("check"), cram: ask("cram"), scram: ask("scram") }),
    close: () => process.exit(0),
  });
}

if (import.meta.main) {
  process.title = "qmail-smtpd-auth";
  serve(JSON.parse(process.argv[2] ?? "{}"));
}
