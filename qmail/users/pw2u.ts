/** What qmail-pw2u makes of a passwd file: lines for users/assign (qmail-pw2u(8)). Pure. */

import type { ConstMap, ConstSet } from "../control/constmap.ts";
import { BREAK } from "./getpw.ts";

/** What becomes of an account whose home is not there; one that is another's is skipped, unless homes are not looked at. */
export type HomeStrategy = "skip" | "stop" | "ignore";

export interface Pw2uOptions {
  readonly home: HomeStrategy;
  /** Accounts with capitals count too. */
  readonly uppercase: boolean;
  /** Between user and extension; "" when there are no extensions. */
  readonly break: string;
  /** Addresses go to .qmail-/... instead of .qmail-... */
  readonly slash: boolean;
}

export const DEFAULTS: Pw2uOptions = {
  home: "skip",
  uppercase: false,
  break: BREAK,
  slash: false,
};

/** The files in users/ that change the rules; null: there is none. */
export interface Pw2uFiles {
  readonly include: ConstSet | null;
  readonly exclude: ConstSet | null;
  readonly mailnames: ConstMap | null;
  /** Text: lines `sub:user:pre:`. */
  readonly subusers: string | null;
  /** Text that follows as it is. */
  readonly append: string | null;
}

/** The end of it: nothing, or not all, was printed. The message is qmail-pw2u's. */
export class Pw2uError extends Error {}

interface Account {
  readonly name: string;
  /** `:user:uid:gid:home:` */
  readonly middle: string;
}

/**
 * The text for users/assign by the passwd file `passwd`. `ownerOf` says who owns a home: null when it is
 * not there; it throws when that cannot be known. Throws Pw2uError.
 */
export function pw2u(
  passwd: string,
  options: Pw2uOptions,
  { files, ownerOf }: { files: Pw2uFiles; ownerOf: (home: string) => number | null },
): string {
  const accounts = passwd
    .split("\n")
    .flatMap((line) => account(line, options, { files, ownerOf }) ?? []);
  if (!accounts.some(({ name }) => name === "alias")) {
    throw new Pw2uError("unable to find alias user");
  }
  const dash = options.slash ? "-/" : "-";
  return [
    ...accounts.flatMap((each) => accountLines(each, dash, { options, files })),
    ...subuserLines(accounts, dash, { options, files }),
    files.append ?? "",
    ".\n",
  ].join("");
}

function account(
  line: string,
  options: Pw2uOptions,
  { files, ownerOf }: { files: Pw2uFiles; ownerOf: (home: string) => number | null },
): Account | null {
  const fields = line.split(":");
  // A seventh field must have begun.
  if (line.includes("\0") || fields.length < 7) return null;
  const [name, , uid, gid, , home] = fields as [string, string, string, string, string, string];
  const number = Number(/^\d+/.exec(uid)?.[0] ?? 0);
  if (number === 0) return null;
  if (!options.uppercase && /[A-Z]/.test(name)) return null;
  if (files.include && !files.include.has(name)) return null;
  if (files.exclude?.has(name)) return null;
  if (options.home !== "ignore") {
    const owner = ownerOf(home);
    if (owner === null && options.home === "stop") throw new Pw2uError(`unable to stat ${home}`);
    if (owner !== number) return null;
  }
  return { name, middle: `:${name}:${uid}:${gid}:${home}:` };
}

function accountLines(
  { name, middle }: Account,
  dash: string,
  { options, files }: { options: Pw2uOptions; files: Pw2uFiles },
): string[] {
  const catchAll = name === "alias" ? [`+${middle}${dash}::\n`] : [];
  const mailnames = files.mailnames?.get(name) ?? name;
  const addresses = mailnames.split(":").filter((mailname) => mailname !== "");
  return [
    ...catchAll,
    ...addresses.flatMap((address) => [
      `=${address}${middle}::\n`,
      ...(options.break === "" ? [] : [`+${address}${options.break}${middle}${dash}::\n`]),
    ]),
  ];
}

function subuserLines(
  accounts: readonly Account[],
  dash: string,
  { options, files }: { options: Pw2uOptions; files: Pw2uFiles },
): string[] {
  const byName = new Map(accounts.map(({ name, middle }) => [name.toLowerCase(), middle]));
  return (files.subusers ?? "").split("\n").flatMap((line) => {
    const [sub, user, pre, ...end] = line.split(":");
    if (user === undefined || (pre === undefined && end.length === 0)) return [];
    const middle = byName.get(user.toLowerCase());
    if (middle === undefined) throw new Pw2uError(`unable to find ${user} user for subuser`);
    if (end.length === 0) return [];
    const wild = `+${sub}${options.break}${middle}${dash}:${pre}-:\n`;
    return [`=${sub}${middle}${dash}:${pre}:\n`, ...(options.break === "" ? [] : [wild])];
  });
}
