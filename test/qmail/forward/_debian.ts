/** Debian's dot-forward and fastforward packages, run beside ours on the same files. */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programPath } from "../../../qmail/programs.ts";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const CONTROL = {
  me: "me.host.dom",
  defaultdomain: "dd.dom",
  defaulthost: "dh",
  plusdomain: "plus.dom",
};

const BESIDES = {
  USER: "joe",
  HOST: "yp.to",
  RECIPIENT: "root@yp.to",
  SENDER: "me@x.y",
  NEWSENDER: "new@x.y",
  UFLINE: "From me\n",
  RPLINE: "Return-Path: me\n",
  DTLINE: "Delivered-To: root@yp.to\n",
};

/** A home with control files and a queue that keeps the message, which is Debian's qmail home, too. */
export class Twins implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-forward-"));

  constructor() {
    for (const name of ["home/bin", "home/control", "etc", "work"]) {
      mkdirSync(join(this.path, name), { recursive: true });
    }
    for (const [name, text] of Object.entries(CONTROL)) {
      writeFileSync(join(this.path, "home/control", name), `${text}\n`);
    }
    const queue = join(this.path, "home/bin/qmail-queue");
    const out = join(this.path, "queued");
    writeFileSync(queue, `#!/bin/sh\nexec 5<&1\ncat >${out}\ncat <&5 >>${out}\nexit 0\n`);
    chmodSync(queue, 0o755);
    chmodSync(this.path, 0o755);
  }

  work(name: string): string {
    return join(this.path, "work", name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.work(name), Buffer.from(text, "latin1"), { mode: 0o644 });
  }

  read(name: string): string | null {
    const path = this.work(name);
    return existsSync(path) ? readFileSync(path, "latin1") : null;
  }

  /** Message and envelope that were queued last; null when none was. */
  queued(): string | null {
    const path = join(this.path, "queued");
    if (!existsSync(path)) return null;
    const text = readFileSync(path, "latin1");
    rmSync(path);
    return text;
  }

  ours(program: string, args: readonly string[], options: Options = {}): Ran {
    const node = [process.execPath, programPath(`forward/${program}`)];
    const env = {
      QMAILHOME: join(this.path, "home"),
      QMAILQUEUE: join(this.path, "home/bin/qmail-queue"),
    };
    return this.#run([...node, ...args], { ...options, env: { ...env, ...options.env } });
  }

  /** In a namespace where /var/lib/qmail is our home and /etc is `etc`. */
  debian(program: string, args: readonly string[], options: Options = {}): Ran {
    const script =
      'mount --bind "$0/home" /var/lib/qmail && mount --bind "$0/etc" /etc && exec "$@"';
    const outer = ["unshare", "-m", "sh", "-c", script, this.path];
    return this.#run([...outer, program, ...args], options);
  }

  #run([command = "", ...args]: readonly string[], { input = "", env = {} }: Options): Ran {
    this.write("input", input);
    const { status, stdout, stderr } = spawnSync(
      "sh",
      ["-c", 'exec "$@" <input', "sh", command, ...args],
      {
        cwd: join(this.path, "work"),
        encoding: "latin1",
        env: { PATH: `${join(this.path, "home/bin")}:${process.env.PATH}`, ...BESIDES, ...env },
      },
    );
    return { code: status, stdout, stderr };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

interface Options {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Why there is nothing to compare with; false when there is. */
export function debianMissing(): string | false {
  for (const program of ["dot-forward", "fastforward"]) {
    if (!existsSync(`/usr/bin/${program}`)) return `Debian's ${program} is not installed`;
  }
  const { status } = spawnSync("unshare", ["-m", "true"]);
  return status === 0 ? false : "mount namespaces need root";
}
