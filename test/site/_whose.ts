/**
 * The table of "Whose mail": every combination of how an address gets here, who has it, its extension,
 * and the state of the .qmail files, with what qmail's documentation says must come of it.
 */

import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** One row of users/assign, or what is left to the alias user. */
export interface Owner {
  /** The address without its extension. */
  readonly base: string;
  readonly user: string;
  /** Relative to the test's directory of homes. */
  readonly home: string;
  /** dash and extension for `rest`, what follows the base; null when that address is another's. */
  readonly asks: (rest: string) => { readonly dash: string; readonly ext: string } | null;
}

const cutDash = (rest: string) => (rest === "" ? "" : rest.slice(1));

export const OWNERS: readonly Owner[] = [
  {
    base: "joe",
    user: "joe",
    home: "joe",
    asks: (rest) => ({ dash: rest === "" ? "" : "-", ext: cutDash(rest) }),
  },
  // A wildcard without the simple assignment: `lists` itself is the alias user's.
  {
    base: "lists",
    user: "lists",
    home: "lists",
    asks: (rest) => (rest === "" ? null : { dash: "-", ext: `l-${cutDash(rest)}` }),
  },
  {
    base: "solo",
    user: "solo",
    home: "solo",
    asks: (rest) => (rest ? null : { dash: "", ext: "" }),
  },
  { base: "web", user: "web", home: "web", asks: (rest) => ({ dash: "-/", ext: `www${rest}` }) },
  {
    base: "info",
    user: "alias",
    home: "../alias",
    asks: (rest) => ({ dash: "-", ext: `info${rest}` }),
  },
];

/** users/assign for the owners, with homes below `homes`. */
export function assignText(homes: string, uid: (user: string) => string): string {
  const line = (head: string, user: string, end: string) =>
    `${head}:${user}:${uid(user)}:${join(homes, user)}:${end}:\n`;
  return [
    line("=joe", "joe", ":"),
    line("+joe-", "joe", "-:"),
    line("+lists-", "lists", "-:l-"),
    line("=solo", "solo", ":"),
    line("+web", "web", "-/:www"),
    ".\n",
  ].join("");
}

export const CONTROLS: Readonly<Record<string, string>> = {
  me: "mail.example.com\n",
  locals: "local.test\n",
  virtualdomains: [
    "virtual.test:joe",
    ".wild.test:lists",
    "one@single.test:web",
    "not.wild.test:",
    ".wild.test.deep:info-deep",
    "",
  ].join("\n"),
};

/** How an address comes to be `local` here: the recipient to say; null when it cannot. */
export const ROUTES: Readonly<Record<string, (local: string) => string | null>> = {
  locals: (local) => `${local}@local.test`,
  "locals, in capitals": (local) => (/^joe(-Sub.*)?$/.test(local) ? `${local}@LOCAL.Test` : null),
  "virtual domain": (local) => (local.startsWith("joe-") ? `${local.slice(4)}@virtual.test` : null),
  "wildcard domain": (local) =>
    local.startsWith("lists-") ? `${local.slice(6)}@Sub.wild.test` : null,
  "virtual address": (local) => (local === "web-one" ? "one@single.test" : null),
};

export const EXTENSIONS = ["", "-a", "-a-b", "-a-b-c", "-Sub.List", "-one", "-default", "-"];

/** What a state of the files must lead to. */
export interface Expected {
  /** K, Z or D and the text of the report; {QP} stands for a number. */
  readonly report: string;
  /** Maildirs or mboxes below the home that get the message. */
  readonly stored?: readonly string[];
  /** Recipients of the forward, and its sender when it is not the message's. */
  readonly forwarded?: readonly string[];
  /** Name of the .qmail file that decides; null for the default delivery or when nothing does. */
  readonly file?: string | null;
  /** DEFAULT that a program finds; null: it is not set. */
  readonly default?: string | null;
  /** A program decides: nobody can say before. */
  readonly unforeseen?: true;
}

/** What is asked for: where, and by which names. */
export interface Asked {
  readonly home: string;
  readonly dash: string;
  readonly ext: string;
}

/** A state of the .qmail files: makes it, and says what must come of it; null where it makes no sense. */
export type State = (asked: Asked, files: Files) => Expected | null;

/** The files of one home, taken away again after each row. */
export class Files {
  readonly #home: string;
  readonly #made: string[] = [];

  constructor(home: string) {
    this.#home = home;
    mkdirSync(home, { recursive: true });
    // Behind the dash "-/" the files lie in a directory.
    if (home.endsWith("/web")) mkdirSync(join(home, ".qmail-"), { recursive: true });
    for (const sub of ["Maildir", "exact", "fallback"]) {
      for (const part of ["tmp", "new", "cur"]) {
        mkdirSync(join(home, sub, part), { recursive: true });
      }
    }
  }

  write(name: string, text: string, mode = 0o600): void {
    const path = join(this.#home, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    this.#made.push(name);
  }

  directory(name: string): void {
    mkdirSync(join(this.#home, name));
    this.#made.push(name);
  }

  chmod(mode: number): void {
    chmodSync(this.#home, mode);
  }

  clear(): void {
    this.chmod(0o755);
    for (const name of this.#made.splice(0)) {
      rmSync(join(this.#home, name), { recursive: true, force: true });
    }
    for (const name of ["Mailbox", "ran"]) rmSync(join(this.#home, name), { force: true });
  }
}

/** An extension as it stands in a file name. */
function safe(ext: string): string {
  return ext.toLowerCase().replaceAll(".", ":");
}

function exactName({ dash, ext }: Asked): string {
  return `.qmail${dash}${safe(ext)}`;
}

/** The -default files for an extension, the nearest first, each with what DEFAULT is then. */
function defaults({ dash, ext }: Asked): [name: string, rest: string][] {
  const parts = ext.split("-");
  return parts.map((_, at) => {
    const kept = parts.slice(0, parts.length - 1 - at);
    const head = kept.map((part) => `${part}-`).join("");
    return [`.qmail${dash}${safe(head)}default`, ext.slice(head.length)];
  });
}

const NO_MAILBOX = "DSorry, no mailbox here by that name. (#5.1.1)\n";
const STORED = "Kdid 1+0+0\n";

function byDefault(stored = "Maildir"): Expected {
  return { report: STORED, stored: [stored], file: null };
}

export const STATES: Readonly<Record<string, State>> = {
  "no file": ({ dash }) => (dash === "" ? byDefault() : { report: NO_MAILBOX, file: null }),
  "its own file": (asked, files) => {
    files.write(exactName(asked), "./exact/\n");
    files.write(defaults(asked).at(-1)?.[0] as string, "./fallback/\n");
    const own = asked.dash !== "" && defaults(asked).at(-1)?.[0] === exactName(asked);
    return { report: STORED, stored: [own ? "fallback" : "exact"], file: exactName(asked) };
  },
  "the nearest default": (asked, files) => {
    const [name, rest] = defaults(asked)[0] as [string, string];
    files.write(name, "|env >ran\n./fallback/\n");
    return { report: "Kdid 1+0+1\n", stored: ["fallback"], file: name, default: rest };
  },
  "the farthest default": (asked, files) => {
    const [name, rest] = defaults(asked).at(-1) as [string, string];
    files.write(name, "|env >ran\n./fallback/\n");
    return { report: "Kdid 1+0+1\n", stored: ["fallback"], file: name, default: rest };
  },
  "a directory by its name": (asked, files) => {
    if (defaults(asked).some(([name]) => name === exactName(asked))) return null;
    files.directory(exactName(asked));
    const [name] = defaults(asked)[0] as [string, string];
    files.write(name, "./fallback/\n");
    return { report: STORED, stored: ["fallback"], file: name };
  },
  "an empty file": (asked, files) => {
    files.write(exactName(asked), "");
    return { ...byDefault(), file: exactName(asked) };
  },
  "comments alone": (asked, files) => {
    files.write(exactName(asked), "# nothing\n#\n");
    return { report: "Kdid 0+0+0\n", file: exactName(asked) };
  },
  "a blank first line": (asked, files) => {
    files.write(exactName(asked), " \n./exact/\n");
    return { report: "ZUh-oh: first line of .qmail file is blank. (#4.2.1)\n", file: null };
  },
  "a file that all may write": (asked, files) => {
    files.write(exactName(asked), "./exact/\n", 0o602);
    return { report: "ZUh-oh: .qmail file is writable. (#4.7.0)\n", file: null };
  },
  "a home that all may write": (asked, files) => {
    files.write(exactName(asked), "./exact/\n");
    files.chmod(0o757);
    return { report: "ZUh-oh: home directory is writable. (#4.7.0)\n", file: null };
  },
  "a sticky home": (asked, files) => {
    files.write(exactName(asked), "./exact/\n");
    files.chmod(0o1755);
    return {
      report: "ZHome directory is sticky: user is editing his .qmail file. (#4.2.1)\n",
      file: null,
    };
  },
  forwards: (asked, files) => {
    files.write(exactName(asked), "&a@far.test\n# between\nb@far.test\n");
    const forwarded = ["a@far.test", "b@far.test"];
    return { report: "Kdid 0+2+0\nqp {QP}\n", forwarded, file: exactName(asked) };
  },
  "a list": (asked, files) => {
    files.write(exactName(asked), "a@far.test\n", 0o700);
    return { report: "Kdid 0+1+0\nqp {QP}\n", forwarded: ["a@far.test"], file: exactName(asked) };
  },
  "a list that stores": (asked, files) => {
    files.write(exactName(asked), "a@far.test\n./exact/\n", 0o700);
    return {
      report: "ZUh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n",
      file: exactName(asked),
    };
  },
  "+list and a program": (asked, files) => {
    files.write(exactName(asked), "./exact/\n+list\n|true\n");
    return {
      report: "ZUh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n",
      stored: ["exact"],
      file: exactName(asked),
    };
  },
  "an mbox and a Maildir": (asked, files) => {
    files.write(exactName(asked), "./Mailbox\n./exact/\n");
    return { report: "Kdid 2+0+0\n", stored: ["Mailbox", "exact"], file: exactName(asked) };
  },
  "a Maildir that is not there": (asked, files) => {
    files.write(exactName(asked), "a@far.test\n./exact/\n./none/\n");
    return {
      report: "ZUnable to chdir to maildir. (#4.2.1)\n",
      stored: ["exact"],
      file: exactName(asked),
    };
  },
  "an mbox where there is no directory": (asked, files) => {
    files.write(exactName(asked), "./none/mbox\n");
    return {
      report: "ZUnable to open ./none/mbox: file does not exist. (#4.2.1)\n",
      file: exactName(asked),
    };
  },
  "a program that says and stores": (asked, files) => {
    files.write(exactName(asked), "|env >ran; echo said\n./exact/\n");
    const named = safe(asked.ext).endsWith("default") ? asked.ext.slice(-7) : null;
    return {
      report: "Ksaid\ndid 1+0+1\n",
      stored: ["exact"],
      file: exactName(asked),
      default: named,
    };
  },
  "a program that ends it (99)": (asked, files) => {
    files.write(exactName(asked), "|exit 99\n./exact/\n");
    return { report: "Kdid 0+0+1\n", file: exactName(asked), unforeseen: true };
  },
  "a program that bounces (100)": (asked, files) => {
    files.write(exactName(asked), "./exact/\n|echo no; exit 100\n");
    return { report: "Dno\n", stored: ["exact"], file: exactName(asked), unforeseen: true };
  },
  "a program that defers (111)": (asked, files) => {
    files.write(exactName(asked), "|echo later; exit 111\n./exact/\n");
    return { report: "Zlater\n", file: exactName(asked), unforeseen: true };
  },
};
