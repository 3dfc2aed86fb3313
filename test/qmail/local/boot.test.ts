/**
 * The ten boot scripts: what each hands to qmail-start as the default delivery is made by qmail-local, with the
 * real programs where the system has them. In a namespace whose /var/mail is empty, so the system's is not touched.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { programPath } from "../../../qmail/programs.ts";

const BOOT = fileURLToPath(new URL("../../../templates/boot", import.meta.url));
const MESSAGE = "Subject: x\n\nbody of the message\n";

/** Where a mail.local may be: where we are told, 4.4BSD's place, and that of sendmail in Debian. */
const MAIL_LOCAL = [
  process.env.MAIL_LOCAL ?? "",
  "/usr/libexec/mail.local",
  "/usr/libexec/sendmail/mail.local",
].find(existsSync);

/** Notes its arguments and its input: for a program of a system that this is not. */
const FAKE = '#!/bin/sh\n{ printf "[%s]" "$@"; echo; cat; } >"$HOME/fake"\n';

/** A home, and a bin directory with what the default deliveries call. */
class Machine implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-boot-"));
  readonly home = join(this.path, "home");
  readonly #bin = join(this.path, "bin");

  constructor() {
    for (const path of [this.home, this.#bin]) mkdirSync(path);
    this.program("qmail-start", '#!/bin/sh\nprintf %s "$1"\n');
    const node = (file: string) =>
      `#!/bin/sh\nQMAILHOME='${this.path}' exec '${process.execPath}' '${programPath(file)}' "$@"\n`;
    this.program("preline", node("local/preline"));
    this.program("dot-forward", node("forward/dot-forward"));
    this.program("fake", FAKE);
    const queued = join(this.path, "queued");
    this.program("queue", `#!/bin/sh\nexec 5<&1; cat >${queued}; cat <&5 >>${queued}\n`);
    mkdirSync(join(this.path, "control"));
    writeFileSync(join(this.path, "control/me"), "h.test\n");
    writeFileSync(join(this.path, "message"), MESSAGE);
  }

  program(name: string, text: string): void {
    writeFileSync(join(this.#bin, name), text);
    chmodSync(join(this.#bin, name), 0o755);
  }

  /** What the boot script `name` gives to qmail-start, with programs of other systems replaced by `instead`. */
  defaultDelivery(name: string, instead: string): string {
    const script = readFileSync(join(BOOT, name), "utf8").replaceAll("QMAIL/bin", this.#bin);
    const { stdout, status } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
    assert.equal(status, 0);
    return stdout.replace(/\/usr\/libexec\/mail\.local|\/bin\/mail\b/, instead);
  }

  /** Delivers the message; returns the exit code and what then lies in /var/mail. */
  deliver(defaultDelivery: string) {
    const args = ["root", this.home, "root", "", "", "h.test", "a@b", defaultDelivery];
    const inner = '"$@" <"$MESSAGE"; code=$?; cat /var/mail/* 2>/dev/null; exit $code';
    const script = `mount -t tmpfs none /var/mail && ${inner}`;
    const local = [process.execPath, programPath("local/qmail-local"), ...args];
    const result = spawnSync("unshare", ["-m", "sh", "-c", script, "sh", ...local], {
      encoding: "utf8",
      env: {
        PATH: `${this.#bin}:${process.env.PATH}`,
        MESSAGE: join(this.path, "message"),
        QMAILQUEUE: join(this.#bin, "queue"),
      },
    });
    return { code: result.status, mail: result.stdout, said: result.stderr };
  }

  read(name: string): string {
    return readFileSync(join(this.path, name), "latin1");
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function installed(program: string): string | false {
  return spawnSync("which", [program]).status === 0 ? false : `${program} is not installed`;
}

const unprivileged =
  spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/var/mail"]).status === 0
    ? false
    : "a /var/mail of our own needs root";

/** In an mbox, by whichever program. */
const STORED =
  /^From a@b .*\nReturn-Path: <a@b>\nDelivered-To: root@h\.test\nSubject: x\n(?:Content-Length: 20\n)?\nbody of the message\n\n/m;

/** Boot script → why it cannot be tried here, the program for its own, and where the message must be. */
interface Case {
  readonly skip?: string | false;
  readonly instead?: string;
  check(machine: Machine, mail: string): void;
}

const fake = (argv: string): Case => ({
  instead: "fake",
  // SVR4's and V7's /bin/mail are on no system that this runs on: a program with their arguments.
  check: (machine) =>
    assert.equal(
      machine.read("home/fake"),
      `${argv}\nReturn-Path: <a@b>\nDelivered-To: root@h.test\n${MESSAGE}`,
    ),
});

const CASES: Readonly<Record<string, Case>> = {
  home: {
    check: (machine) =>
      assert.match(
        machine.read("home/Mailbox"),
        /^From a@b .*\nReturn-Path: <a@b>\n.*body of the message\n\n$/s,
      ),
  },
  proc: {
    skip: installed("procmail"),
    check: (_, mail) => assert.match(mail, STORED),
  },
  binm1: MAIL_LOCAL
    ? {
        instead: MAIL_LOCAL,
        check: (_, mail) => assert.match(mail, STORED),
      }
    : fake("[-r][a@b][-d][root]"),
  binm2: fake("[-r][a@b][-d][root]"),
  binm3: fake("[-f][a@b][-d][root]"),
};

test("every boot script is tried", () => {
  const names = Object.keys(CASES).flatMap((name) => [name, `${name}+df`]);
  assert.deepEqual(readdirSync(BOOT).sort(), names.sort());
});

for (const [name, { skip = false, instead = "", check }] of Object.entries(CASES)) {
  test(`boot/${name}`, { skip: unprivileged || skip }, () => {
    using machine = new Machine();
    const { code, mail, said } = machine.deliver(machine.defaultDelivery(name, instead));
    assert.equal(code, 0, said);
    check(machine, mail);
  });

  test(`boot/${name}+df without a .forward file`, { skip: unprivileged || skip }, () => {
    using machine = new Machine();
    const { code, mail, said } = machine.deliver(machine.defaultDelivery(`${name}+df`, instead));
    assert.equal(code, 0, said);
    check(machine, mail);
  });

  test(`boot/${name}+df with one`, { skip: unprivileged || skip }, () => {
    using machine = new Machine();
    writeFileSync(join(machine.home, ".forward"), "Ann <ann@x.y>\n");
    const { code, said } = machine.deliver(machine.defaultDelivery(`${name}+df`, instead));
    assert.equal(code, 0, said);
    assert.equal(machine.read("queued"), `Delivered-To: root@h.test\n${MESSAGE}Fa@b\0Tann@x.y\0\0`);
    assert.deepEqual(readdirSync(machine.home), [".forward"]);
  });
}

test("maildrop as the default delivery", { skip: unprivileged || installed("maildrop") }, () => {
  using machine = new Machine();
  const { code, mail, said } = machine.deliver("|preline maildrop");
  assert.equal(code, 0, said);
  // It makes a From_ line of its own.
  assert.match(
    mail,
    /^Return-Path: <a@b>\nDelivered-To: root@h\.test\nSubject: x\n\nbody of the message\n\n/m,
  );
});

const RCVSTORE = "/usr/lib/mh/rcvstore";

test("an MH folder, by rcvstore", {
  skip: existsSync(RCVSTORE) ? unprivileged : "nmh is not installed",
}, () => {
  using machine = new Machine();
  writeFileSync(join(machine.home, ".mh_profile"), "Path: Mail\n");
  mkdirSync(join(machine.home, "Mail"));
  const command = `|preline -f ${RCVSTORE} +inbox -create`;
  for (let count = 0; count < 2; count++) {
    const { code, said } = machine.deliver(command);
    assert.equal(code, 0, said);
  }
  for (const number of [1, 2]) {
    assert.match(
      machine.read(`home/Mail/inbox/${number}`),
      /^Return-Path: <a@b>\n.*body of the message\n$/s,
    );
  }
});
