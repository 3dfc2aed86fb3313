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
import { Link } from "../net/link.ts";
import { nodeArguments, programPath } from "../programs.ts";
import type { PasswordStore } from "./auth.ts";
import { warning } from "./log.ts";
import { openStore, type StoreOptions } from "./store.ts";

/** What is asked, and the one kind of answer: JSON. */
const FRAME = { check: 1, cram: 2, scram: 3, answer: 4 } as const;
type Question = (typeof FRAME)["check" | "cram" | "scram"];

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
    check: (login, password) => asker.check(FRAME.check, [login, password]),
    ...(options.cram
      ? {
          checkCram: (login, { challenge, response }) =>
            asker.check(FRAME.cram, [login, challenge, response]),
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
      frame: (_type, id, payload) => {
        this.#asked.get(id)?.(JSON.parse(payload.toString("latin1")));
        this.#asked.delete(id);
      },
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
    const answer = await this.#ask(FRAME.scram, [login]);
    if ("check" in answer) throw new Error("the keys cannot be looked up now");
    return answer.keys && parseKeys(answer.keys);
  }

  #ask(question: Question, words: readonly string[]): Promise<Answer> {
    if (this.#link.closed) return Promise.resolve(TROUBLE);
    // Between words stands a NUL: none may have one.
    if (words.some((word) => word.includes("\0"))) return Promise.resolve({ check: "refused" });
    return new Promise((resolve) => {
      this.#last = (this.#last + 1) >>> 0;
      this.#asked.set(this.#last, resolve);
      this.#link.send(question, this.#last, words.join("\0"));
    });
  }
}

/** What `store` says to a question; its own trouble is an answer too. */
async function answer(store: PasswordStore, type: number, words: string[]): Promise<Answer> {
  const [login = "", second = "", third = ""] = words;
  try {
    if (type === FRAME.check) return { check: await store.check(login, second) };
    if (type === FRAME.cram) {
      const said = { challenge: second, response: third };
      return { check: (await store.checkCram?.(login, said)) ?? "refused" };
    }
    const keys = (await store.scramKeys?.(login)) ?? null;
    return { keys: keys && formatKeys(keys) };
  } catch {
    return TROUBLE;
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
  const link = new Link(new Socket({ fd: LINK_FD }), {
    async frame(type, id, payload) {
      const words = payload.toString("latin1").split("\0");
      link.send(FRAME.answer, id, JSON.stringify(await answer(store, type, words)));
    },
    close: () => process.exit(0),
  });
}

if (import.meta.main) {
  process.title = "qmail-smtpd-auth";
  serve(JSON.parse(process.argv[2] ?? "{}"));
}
