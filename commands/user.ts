/** `qmailctl user add|passwd|del|list`: the logins of the site that are no system users (users/password). */

import { existsSync, fstatSync, mkdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { toBytes } from "../qmail/arguments.ts";
import { makeScramKeys } from "../qmail/checkpassword/scram.ts";
import { hashPassword } from "../qmail/checkpassword/secrets.ts";
import {
  changeUserFile,
  type Entry,
  LOGIN,
  readUserFile,
  userFilePath,
} from "../qmail/checkpassword/userfile.ts";
import { setAccess, within } from "../qmail/files/foreign-directory.ts";
import { readIds } from "../qmail/ids.ts";
import { getpwnam, getpwuid } from "../qmail/users/passwd.ts";
import { CommandError, type Output, UsageError } from "./output.ts";
import { type PasswordInput, readPassword } from "./password.ts";
import { harmless } from "./printable.ts";
import { checkInstalled } from "./supervisor.ts";
import { type Filled, filledBy, mailhomeOf } from "./user/filled.ts";

export interface UserOptions {
  readonly home: string;
  readonly output: Output;
}

export interface UserSecretOptions extends UserOptions {
  readonly login: string;
  readonly terminal: PasswordInput;
  /** Keys for SCRAM-SHA-256 as well. */
  readonly scram: boolean;
  /** The password itself as well: CRAM-MD5 and APOP cannot do without. */
  readonly cram: boolean;
}

export interface UserAddOptions extends UserSecretOptions {
  /** The system user whose the mailbox is; undefined: whose the mail for the login is, else alias, or the sandbox's user. */
  readonly as?: string;
  /** Where the Maildir is or will be; undefined: where mail for the login goes, else in ~alias, under the login's name. */
  readonly mailhome?: string;
}

/** Adds a login with its Maildir. */
export async function userAdd(options: UserAddOptions): Promise<void> {
  const { home, login, output } = options;
  checkInstalled(home);
  if (!LOGIN.test(login)) throw badLogin(login);
  if (entries(home).some(isCalled(login))) throw exists(login);
  const filled = await filledBy(home, login);
  const owner = mailboxOwner(options, filled);
  const mailhome = mailboxHome(options, { filled, uid: owner.uid });
  const secrets = await makeSecrets(options);
  const entry: Entry = { user: login, ...owner, home: mailhome, shell: "/bin/false", ...secrets };
  makeMaildir(mailhome, owner);
  await change(home, (all) => {
    if (all.some(isCalled(login))) throw exists(login);
    return [...all, entry];
  });
  output.data(toJson(entry));
  const mailbox = join(mailhome, "Maildir");
  output.line(`Added ${login}; its mailbox is ${mailbox}.`);
  const others = filled.map(({ path }) => path).filter((path) => path !== mailbox);
  if (others.length > 0 && others.length === filled.length) {
    const where = harmless(others.join(", "));
    output.note(`warning: mail for ${login} goes to ${where}: see qmailctl explain ${login}`);
  }
}

/** Gives a login a new password; what is kept of it besides its hash is what is asked for now. */
export async function userPasswd(options: UserSecretOptions): Promise<void> {
  const { home, login, output } = options;
  checkInstalled(home);
  if (!entries(home).some(isCalled(login))) throw missing(login);
  const secrets = await makeSecrets(options);
  await change(home, (all) => {
    if (!all.some(isCalled(login))) throw missing(login);
    return all.map((entry) => (isCalled(login)(entry) ? { ...entry, ...secrets } : entry));
  });
  output.data({ login });
  output.line(`${login} has a new password.`);
}

/** Removes a login; its mail stays. */
export async function userDel({
  home,
  login,
  output,
}: UserOptions & { readonly login: string }): Promise<void> {
  checkInstalled(home);
  let mailhome = "";
  await change(home, (all) => {
    const entry = all.find(isCalled(login));
    if (!entry) throw missing(login);
    mailhome = entry.home;
    return all.filter((other) => other !== entry);
  });
  output.data({ login, home: mailhome });
  output.line(`Removed ${login}; its mail is still in ${mailhome}.`);
}

/** Shows the logins, and nothing of their passwords. */
export async function userList({ home, output }: UserOptions): Promise<void> {
  checkInstalled(home);
  const all = entries(home);
  output.data(all.map(toJson));
  if (all.length === 0) {
    output.line("The site has no logins of its own: its users are those of the system.");
    return;
  }
  output.table(
    [{ title: "login" }, { title: "as" }, { title: "home" }, { title: "besides the hash" }],
    all.map((entry) => {
      const { login, as, home: mailhome, keeps } = toJson(entry);
      return [login, as, mailhome, keeps.join(", ")];
    }),
  );
}

function toJson({ user, uid, gid, home, scram, secret }: Entry) {
  const keeps = [...(scram ? ["SCRAM keys"] : []), ...(secret === null ? [] : ["the password"])];
  return { login: user, as: getpwuid(uid)?.name ?? String(uid), uid, gid, home, keeps };
}

function entries(home: string): Entry[] {
  try {
    return readUserFile(home);
  } catch (error) {
    throw notAllowed(home, error);
  }
}

async function change(
  home: string,
  how: (all: readonly Entry[]) => readonly Entry[],
): Promise<void> {
  try {
    await changeUserFile(home, how);
  } catch (error) {
    throw notAllowed(home, error);
  }
}

function notAllowed(home: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "EACCES" && code !== "EPERM") return error;
  return new CommandError(`cannot open ${userFilePath(home)}: it is closed to others`, {
    hints: ["run it as root, or as the user who installed the sandbox"],
    cause: error,
  });
}

function isCalled(login: string): (entry: Entry) => boolean {
  return ({ user }) => user.toLowerCase() === login.toLowerCase();
}

async function makeSecrets({ terminal, scram, cram }: UserSecretOptions) {
  const password = await readPassword(terminal);
  return {
    hash: await hashPassword(password),
    scram: scram ? makeScramKeys(password) : null,
    secret: cram ? password : null,
  };
}

/** Without another word whose the mailbox is that the mail goes to. */
function mailboxOwner(
  { home, as, mailhome }: UserAddOptions,
  filled: readonly Filled[],
): { uid: number; gid: number } {
  const ids = readIds(home);
  if (as !== undefined) return owner(as);
  const [first] = mailhome === undefined ? readable(filled) : [];
  if (first && first.uid !== 0) return { uid: first.uid, gid: first.gid };
  return ids.sandbox ? statSync(home) : owner("alias");
}

function readable(filled: readonly Filled[]): Filled[] {
  return filled.filter(({ path }) => mailhomeOf(path) !== null);
}

function owner(name: string): { uid: number; gid: number } {
  const passwd = getpwnam(name);
  if (!passwd) throw new UsageError(`there is no system user "${name}"`);
  if (passwd.uid === 0) throw new UsageError("a mailbox cannot be root's");
  return { uid: passwd.uid, gid: passwd.gid };
}

function mailboxHome(
  { home, login, mailhome }: UserAddOptions,
  { filled, uid }: { filled: readonly Filled[]; uid: number },
): string {
  if (mailhome !== undefined) {
    if (/[:\n]/.test(mailhome)) throw new UsageError(`"${mailhome}" cannot be a mailbox's home`);
    return resolve(mailhome);
  }
  const found = readable(filled).find((each) => each.uid === uid);
  const there = found && mailhomeOf(found.path);
  if (there && !/[:\n]/.test(there)) return there;
  const local = login.replace(/@.*/, "");
  if (!/^[^./][^/]*$/.test(local)) throw badLogin(login);
  return join(resolve(home), "alias", local);
}

/** What is there already stays as it is. */
function makeMaildir(mailhome: string, { uid, gid }: { uid: number; gid: number }): void {
  if (!existsSync(mailhome)) make(mailhome);
  const maildir = join(mailhome, "Maildir");
  if (existsSync(maildir)) return;
  for (const path of [maildir, ...["new", "cur", "tmp"].map((sub) => join(maildir, sub))])
    make(path);

  function make(path: string): void {
    try {
      within("/", toBytes(path.slice(1)), (place) => {
        mkdirSync(place.path, { mode: 0o700 });
        const isMeant = (fd: number) => fstatSync(fd).isDirectory();
        setAccess(place, { uid, gid, mode: 0o700 }, { isMeant });
      });
    } catch (error) {
      throw new CommandError(`cannot make ${path}: ${(error as Error).message}`, {
        hints: [`make ${basename(path)} by hand, or choose another place with --mailhome`],
        cause: error,
      });
    }
  }
}

function badLogin(login: string): UsageError {
  return new UsageError(`"${login}" cannot be a login`, [
    'a login is one word without colons, like "joe" or "joe@example.com"',
  ]);
}

function exists(login: string): UsageError {
  return new UsageError(`there is a login "${login}" already`, [`qmailctl user passwd ${login}`]);
}

function missing(login: string): UsageError {
  return new UsageError(`there is no login "${login}"`, ["qmailctl user list shows what there is"]);
}
