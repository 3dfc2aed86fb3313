/** docs/reference/processes.md and the kernel, in the same words. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { getgrgid, getpwuid } from "../../qmail/users/passwd.ts";
import { linkOf, statusField } from "../_processes.ts";

const PAGE = new URL("../../docs/reference/processes.md", import.meta.url);
/** Cells of a row behind its name. */
const COLUMNS = ["user", "group", "umask", "capabilities", "files", "environment"] as const;

export type Described = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** The rows of the page's table, by the processes' names. */
export function describedProcesses(): ReadonlyMap<string, Described> {
  const rows = readFileSync(PAGE, "utf8")
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => cells.length === COLUMNS.length + 3 && /^`[\w -]+`$/.test(cells[1] ?? ""));
  return new Map(
    rows.map(([, name = "", ...cells]) => {
      const row = Object.fromEntries(COLUMNS.map((column, at) => [column, cells[at] ?? ""]));
      return [name.slice(1, -1), row as Described];
    }),
  );
}

/** What is wrong with the process `pid`, which is to be as `described`: a line for each. `user` is who `a user` is. */
export function deviations(
  pid: number,
  described: Described,
  { home, user }: { home: string; user: string },
): string[] {
  const caught = BigInt(`0x${statusField(pid, "SigCgt")}`);
  const wrong = [
    ...differs(
      "user",
      namesOf(pid, "Uid", (id) => getpwuid(id)?.name),
      [described.user, user],
    ),
    ...differs(
      "group",
      namesOf(pid, "Gid", (id) => getgrgid(id)?.name),
      [described.group, user],
    ),
    ...differs("umask", statusField(pid, "Umask"), [described.umask]),
    ...differs("capabilities", capabilitiesOf(pid), [described.capabilities]),
    ...differs("environment", environmentOf(pid), [described.environment]),
    ...fileDeviations(pid, described.files, home),
  ];
  const groups = statusField(pid, "Groups");
  // Root's own are nothing that it could not have.
  if (groups !== "" && described.user !== "root") wrong.push(`supplementary groups: ${groups}`);
  if ((caught >> 9n) & 1n) wrong.push("a signal starts a debugger");
  return wrong;
}

function differs(
  what: string,
  found: string,
  [wanted = "", user = ""]: readonly string[],
): string[] {
  const meant = wanted === "the user" ? user : wanted;
  return found === meant ? [] : [`${what}: ${found}, not ${meant}`];
}

/** Real, effective, saved and filesystem id: one name when they are one, else all that are different. */
function namesOf(pid: number, field: string, nameOf: (id: number) => string | undefined): string {
  const [real = "", effective = ""] = statusField(pid, field).split("\t");
  const names = [...new Set([effective, real])].map((id) => nameOf(Number(id)) ?? id);
  return names.join(", for its worker ");
}

function capabilitiesOf(pid: number): string {
  const [all, own] = [process.pid, pid].map((each) => BigInt(`0x${statusField(each, "CapEff")}`));
  // All that root has here: in a container not all there are.
  return own === 0n ? "none" : own === all ? "all" : `0x${own?.toString(16)}`;
}

function environmentOf(pid: number): string {
  const names = readFileSync(`/proc/${pid}/environ`, "latin1")
    .split("\0")
    .map((each) => each.split("=")[0] ?? "")
    // /bin/sh sets them, which is another shell elsewhere.
    .filter((name) => name !== "" && !["PWD", "OLDPWD", "SHLVL", "_"].includes(name));
  return names.length === 0 ? "none" : [...new Set(names)].sort().join(" ");
}

function fileDeviations(pid: number, described: string, home: string): string[] {
  const wanted = described.split(",").map((each) => each.trim());
  const first = new Set(wanted.filter((each) => /^[012] /.test(each)));
  const others = wanted.filter((each) => !/^[012] /.test(each)).map(patternOf);
  const wrong: string[] = [];
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const open = openFile(pid, fd, home);
    if (open === null) continue;
    if (Number(fd) <= 2) {
      const fits = [...first].find((each) => patternOf(each).test(`${fd} ${open}`));
      if (fits) first.delete(fits);
      else wrong.push(`descriptor ${fd} ${open}`);
    } else if (!isInner(pid, open) && !others.some((each) => each.test(open))) {
      wrong.push(`descriptor ${fd} ${open}`);
    }
  }
  return [...wrong, ...[...first].map((each) => `descriptor missing: ${each}`)];
}

/** "run/log.* w": a star is anything. */
function patternOf(text: string): RegExp {
  const quoted = text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  return new RegExp(`^${quoted}$`);
}

/** What is open, below the home without that, and how: r, w or rw; null when it has been closed. */
function openFile(pid: number, fd: string, home: string): string | null {
  const target = linkOf(`/proc/${pid}/fd/${fd}`);
  if (target === "") return null;
  const name = target.startsWith(`${home}/`) ? target.slice(home.length + 1) : target;
  if (/^(socket|pipe|anon_inode):/.test(name)) return name.replace(/^socket:.*/, "socket");
  try {
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
    const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "0", 8);
    return name === "/dev/null" ? "null" : `${name} ${["r", "w", "rw"][flags & 3]}`;
  } catch {
    return null;
  }
}

/** What Node has for itself, and links to others, which the text of the page says. */
function isInner(pid: number, open: string): boolean {
  if (open === "socket" || open === "null" || open.startsWith("anon_inode:")) return true;
  if (!open.startsWith("pipe:")) return false;
  // A pipe to itself, by which its threads wake one another.
  const ends = readdirSync(`/proc/${pid}/fd`).filter(
    (fd) => linkOf(`/proc/${pid}/fd/${fd}`) === open,
  );
  return ends.length === 2;
}

/** The processes of the mail server in `home`: they work there, or for users elsewhere as children of those. */
export function processesOf(home: string): { pid: number; title: string }[] {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const within = new Set(
    all.filter((pid) => `${linkOf(`/proc/${pid}/cwd`)}/`.startsWith(`${home}/`)),
  );
  for (let found = -1; found !== within.size; ) {
    found = within.size;
    for (const pid of all) if (within.has(parentOf(pid))) within.add(pid);
  }
  return [...within].map((pid) => ({ pid: Number(pid), title: titleOf(pid) }));
}

function parentOf(pid: string): string {
  try {
    return statSync(`/proc/${pid}`) && statusField(Number(pid), "PPid");
  } catch {
    return "";
  }
}

/** The name that it has given itself, or the program that Node runs. */
function titleOf(pid: string): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").filter(Boolean);
    const [first = ""] = words.join(" ").split(" ") as [string];
    if (!first.endsWith("/node")) return first.split("/").at(-1) ?? "";
    const program = words.slice(1).find((word) => !word.startsWith("-")) ?? "";
    return (
      program
        .split("/")
        .at(-1)
        ?.replace(/\.[jt]s$/, "") ?? ""
    );
  } catch {
    return "";
  }
}
