/** Which config files are run, and as whom: by root in directories of others, and by everybody in shared ones. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { distrust } from "../../commands/trusted.ts";
import { qmailctl } from "../site/_site.ts";

const options = { skip: process.getuid?.() === 0 ? false : "needs root" };
const SOMEBODY = 64_300;
const NAME = "qmailctl.config.ts";

/** Directories from the top, each with its mode and owner, the file in the last. */
interface Case {
  readonly directories: readonly (readonly [mode: number, uid: number, gid?: number])[];
  readonly file?: readonly [mode: number, uid: number, gid?: number];
  /** In the reason; none: it is trusted. */
  readonly why?: RegExp;
}

const CASES: Readonly<Record<string, Case>> = {
  "root's alone": { directories: [[0o755, 0]] },
  "another's directory": { directories: [[0o755, SOMEBODY]], why: /d0" belongs to uid 64300/ },
  "another's file": { directories: [[0o755, 0]], file: [0o644, SOMEBODY], why: /belongs to/ },
  "a file that all may write": { directories: [[0o755, 0]], file: [0o666, 0], why: /everybody/ },
  "a file of a group": {
    directories: [[0o755, 0]],
    file: [0o664, 0, 5],
    why: /group \S+ may write/,
  },
  "a directory of a group": { directories: [[0o775, 0, 5]], why: /group \S+ may write/ },
  "a group that nobody knows": { directories: [[0o775, 0, 64_999]], why: /group 64999/ },
  "root's private group": { directories: [[0o775, 0, 0]], file: [0o664, 0, 0] },
  "a shared directory": { directories: [[0o777, 0]], why: /everybody/ },
  "a sticky directory itself": { directories: [[0o1777, 0]], why: /everybody may write .*d0"/ },
  "one of ours in a sticky one": {
    directories: [
      [0o1777, 0],
      [0o700, 0],
    ],
  },
  "one of another's in a sticky one": {
    directories: [
      [0o1777, 0],
      [0o755, SOMEBODY],
    ],
    why: /d1"/,
  },
  "one of ours below another's": {
    directories: [
      [0o755, SOMEBODY],
      [0o700, 0],
    ],
    why: /d0" belongs/,
  },
  "one of ours below a shared one": {
    directories: [
      [0o777, 0],
      [0o700, 0],
    ],
    why: /everybody/,
  },
  "a sticky one of another's": {
    directories: [
      [0o1777, SOMEBODY],
      [0o700, 0],
    ],
    why: /belongs/,
  },
};

/** Makes what `made` says below `top`. Returns the path of the file. */
function make(top: string, { directories, file = [0o644, 0] }: Case): string {
  const path = join(top, ...directories.map((_, at) => `d${at}`), NAME);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "export default {};\n");
  let at = top;
  for (const [index, [mode, uid, gid = 0]] of directories.entries()) {
    at = join(at, `d${index}`);
    chownSync(at, uid, gid);
    chmodSync(at, mode);
  }
  chownSync(path, file[1], file[2] ?? 0);
  chmodSync(path, file[0]);
  return path;
}

class Top implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "qmailctl-trusted-"));
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

for (const [what, made] of Object.entries(CASES)) {
  test(`${what}: ${made.why ? "not trusted" : "trusted"}`, options, () => {
    using top = new Top();
    const file = make(top.path, made);
    const why = distrust(file);
    if (made.why) assert.match(why ?? "trusted", made.why);
    else assert.equal(why, null);
    // The same behind a link of ours, for a directory and for the file; and through "..".
    symlinkSync(dirname(file), join(top.path, "there"));
    symlinkSync(file, join(top.path, "file.ts"));
    mkdirSync(join(top.path, "other"));
    symlinkSync("../d0", join(top.path, "other/up"));
    const rest = file.slice(join(top.path, "d0").length);
    const ways = [
      join(top.path, "there", NAME),
      join(top.path, "file.ts"),
      join(top.path, "other/up") + rest,
    ];
    for (const way of ways) assert.equal(distrust(way), why, way);
  });
}

test(
  "a link that another has made is not trusted, whatever it leads to; nor is a loop",
  options,
  () => {
    using top = new Top();
    const file = make(top.path, { directories: [[0o755, 0]] });
    const shared = join(top.path, "shared");
    mkdirSync(shared);
    symlinkSync(dirname(file), join(shared, "link"));
    chmodSync(shared, 0o1777);
    assert.equal(distrust(join(shared, "link", NAME)), null);
    chownSync(shared, 0, 0);
    rmSync(join(shared, "link"));
    symlinkSync(dirname(file), join(shared, "link"));
    lchown(join(shared, "link"));
    assert.match(distrust(join(shared, "link", NAME)) ?? "", /link" belongs to uid/);
    symlinkSync("loop", join(top.path, "loop"));
    assert.match(distrust(join(top.path, "loop")) ?? "", /too many links/);
  },
);

function lchown(path: string): void {
  process.getBuiltinModule("node:fs").lchownSync(path, SOMEBODY, SOMEBODY);
}

/** A config that says that it was run, for a home that is not there. */
function trap(directory: string): string {
  const mark = join(directory, "mark");
  const text = `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(mark)}, "");\nexport default { home: "./site", sandbox: true, host: "mail.example.test" };\n`;
  writeFileSync(join(directory, NAME), text);
  return mark;
}

const RUNNING = [
  ["status"],
  ["stop"],
  ["queue", "list"],
  ["queue", "check"],
  ["log", "show"],
  ["reload"],
  ["user", "list"],
];

test(
  "root's commands run no config of a directory that another may write, and say so",
  options,
  async () => {
    using top = new Top();
    const directory = join(top.path, "theirs");
    mkdirSync(directory);
    const mark = trap(directory);
    chownSync(directory, SOMEBODY, SOMEBODY);
    const env = { ...process.env, QMAILHOME: "" };
    for (const args of RUNNING) {
      const { code, stderr } = await qmailctl(args, { cwd: directory, env });
      assert.notEqual(code, 101, stderr);
      assert.match(
        stderr,
        /warning: .*theirs\/qmailctl.config.ts is passed over: .*belongs to uid 64300/,
      );
      assert.equal(existsSync(mark), false, args.join(" "));
    }
    for (const args of [["install", "--dry-run"], ["try"], ["status", "--config", NAME]]) {
      const { code, stderr } = await qmailctl(args, { cwd: directory, env });
      assert.equal(code, 100);
      assert.match(
        stderr,
        /cannot trust the config file .*theirs\/qmailctl.config.ts": .*belongs to/,
      );
      assert.match(stderr, /a program that would run as root/);
      assert.equal(existsSync(mark), false, args.join(" "));
    }
    const named = { ...env, QMAILCTL_CONFIG: join(directory, NAME) };
    assert.equal((await qmailctl(["status"], { cwd: "/", env: named })).code, 100);
    assert.equal(existsSync(mark), false);
  },
);

test(
  "where the home is named no config is run; in a directory of ours the one found is",
  options,
  async () => {
    using top = new Top();
    const mark = trap(top.path);
    const home = join(top.path, "named");
    const { stderr } = await qmailctl(["status", "--home", home], { cwd: top.path });
    assert.match(stderr, /no mail server is installed in .*named/);
    const env = { ...process.env, QMAILHOME: home };
    assert.match(
      (await qmailctl(["status"], { cwd: top.path, env })).stderr,
      /installed in .*named/,
    );
    assert.equal(existsSync(mark), false);
    const found = await qmailctl(["status"], { cwd: top.path, env: { ...env, QMAILHOME: "" } });
    assert.match(found.stderr, /no mail server is installed in .*site/);
    assert.equal(existsSync(mark), true);
  },
);
