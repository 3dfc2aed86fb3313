/** qmail-pw2u: `qmail-pw2u [-/ohHuUC] [-cCHAR] < /etc/passwd > users/assign` (qmail-pw2u(8)). */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { programArgs } from "../arguments.ts";
import { ConstMap, ConstSet } from "../control/constmap.ts";
import { linesOf, textOf } from "../control/control.ts";
import { EXIT } from "../exit.ts";
import { fsPath } from "../files/bytes.ts";
import { getopt } from "../getopt.ts";
import { qmailHome } from "../home.ts";
import { DEFAULTS, Pw2uError, type Pw2uFiles, type Pw2uOptions, pw2u } from "./pw2u.ts";

/** The options in `args`; a string says what is wrong. The last of two that contradict wins. */
export function parseOptions(args: readonly string[]): Pw2uOptions | string {
  const parsed = getopt(args, "/ohHuUc:C");
  if (typeof parsed === "string") return parsed;
  const changes = parsed.options.map(([letter, value]): Partial<Pw2uOptions> => {
    switch (letter) {
      case "/":
        return { slash: true };
      case "o":
        return { home: "skip" };
      case "h":
        return { home: "stop" };
      case "H":
        return { home: "ignore" };
      case "u":
        return { uppercase: true };
      case "U":
        return { uppercase: false };
      case "c":
        return { break: value.slice(0, 1) };
      default:
        return { break: "" };
    }
  });
  return Object.assign({}, DEFAULTS, ...changes);
}

/** The files in users/ of the installation in `home`. Throws Pw2uError. */
function readFiles(home: string): Pw2uFiles {
  const text = (name: string) => {
    try {
      return textOf(join(home, "users", name));
    } catch (error) {
      throw new Pw2uError("unable to read controls", { cause: error });
    }
  };
  const list = (name: string) => {
    const found = text(name);
    return found === null ? null : linesOf(found);
  };
  const [include, exclude, mailnames] = ["include", "exclude", "mailnames"].map(list);
  return {
    include: include ? new ConstSet(include) : null,
    exclude: exclude ? new ConstSet(exclude) : null,
    mailnames: mailnames ? new ConstMap(mailnames) : null,
    subusers: text("subusers"),
    append: text("append"),
  };
}

function ownerOf(home: string): number | null {
  try {
    return statSync(fsPath(home)).uid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Pw2uError(`unable to stat ${home}`, { cause: error });
  }
}

function readPasswd(): string {
  try {
    return readFileSync(0, "latin1");
  } catch (error) {
    throw new Pw2uError("unable to read input", { cause: error });
  }
}

function main(args: readonly string[]): number {
  const options = parseOptions(args);
  if (typeof options === "string") {
    process.stderr.write(`qmail-pw2u: ${options}\n`);
    return EXIT.hard;
  }
  try {
    const files = readFiles(qmailHome());
    const text = pw2u(readPasswd(), options, { files, ownerOf });
    process.stdout.write(Buffer.from(text, "latin1"));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof Pw2uError)) throw error;
    process.stderr.write(`qmail-pw2u: fatal: ${error.message}\n`);
    return EXIT.soft;
  }
}

if (import.meta.main) {
  process.exitCode = main(programArgs());
}
