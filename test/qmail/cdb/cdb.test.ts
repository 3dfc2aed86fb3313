import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CdbFile, cdbGet, cdbHash, cdbRecords } from "../../../qmail/cdb/cdb.ts";
import { makeCdb } from "../../../qmail/cdb/cdbmake.ts";

type Pairs = readonly (readonly [Buffer, Buffer])[];

const withoutTinycdb =
  spawnSync("cdb", ["-h"]).error === undefined ? false : "tinycdb is not installed";

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
/** Few different keys, so that some come twice. */
const key = fc.oneof(bytes, fc.constantFrom("", "a", "!joe\0", "!joe-").map(text));
const pairs = fc.array(fc.tuple(key, bytes), { maxLength: 60 });

function text(value: string): Buffer {
  return Buffer.from(value, "latin1");
}

function first(all: Pairs, wanted: Buffer): Buffer | null {
  return all.find(([each]) => each.equals(wanted))?.[1] ?? null;
}

function scratch(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "qmailctl-cdb-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test("the hash of cdb(5)", () => {
  assert.equal(cdbHash(text("")), 5381);
  assert.equal(cdbHash(text("a")), ((5381 * 33) ^ 97) >>> 0);
  assert.ok(cdbHash(Buffer.alloc(1000, 255)) < 2 ** 32);
});

test("what is written is found: the first of equal keys, and nothing else", () => {
  fc.assert(
    fc.property(pairs, bytes, (all, other) => {
      const cdb = makeCdb(all);
      for (const [each] of [...all, [other]] as const) {
        assert.deepEqual(cdbGet(cdb, each), first(all, each));
      }
      assert.deepEqual([...cdbRecords(cdb)], all);
    }),
  );
});

test("a broken database is an error or a wrong answer, never a read outside it", () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(pairs, damage, fc.nat(), (all, changes, cut) => {
      const cdb = makeCdb(all);
      for (const [at, value] of changes) cdb[at % cdb.length] = value;
      const short = cdb.subarray(0, cut % (cdb.length + 1));
      for (const damaged of [cdb, short]) {
        for (const [each] of all) {
          try {
            const found = cdbGet(damaged, each);
            assert.ok(found === null || found.length <= damaged.length);
          } catch (error) {
            assert.match((error as Error).message, /^cannot read cdb: /);
          }
        }
      }
    }),
  );
});

test("a table of more slots than the file can hold is refused at once", () => {
  const cdb = makeCdb([[text("a"), text("b")]]);
  const entry = (cdbHash(text("a")) & 255) * 8;
  cdb.writeUInt32LE(0xffff_ffff, entry + 4);
  assert.throws(() => cdbGet(cdb, text("a")), /hash table outside the file/);
});

test("a CdbFile follows its file: absent, there, replaced, cut", () => {
  using directory = scratch();
  const path = join(directory.path, "cdb");
  const file = new CdbFile(path);
  const get = (name: string) => {
    const cdb = file.read();
    return cdb && cdbGet(cdb, text(name))?.toString("latin1");
  };
  const replace = (all: Pairs) => {
    writeFileSync(`${path}.tmp`, makeCdb(all));
    renameSync(`${path}.tmp`, path);
  };
  assert.equal(get("a"), null);
  replace([[text("a"), text("one")]]);
  assert.equal(get("a"), "one");
  replace([[text("a"), text("two")]]);
  assert.equal(get("a"), "two");
  truncateSync(path, 2050);
  assert.throws(() => get("a"), /cannot read cdb/);
  rmSync(path);
  assert.equal(get("a"), null);
  file.close();
});

test("tinycdb reads what we write", { skip: withoutTinycdb }, () => {
  using directory = scratch();
  const path = join(directory.path, "ours.cdb");
  const all: Pairs = Array.from({ length: 500 }, (_, at) => [text(`key${at}`), text(`data ${at}`)]);
  const odd: Pairs = [
    [text(""), text("-=")],
    [text("twice"), text("first")],
    [text("twice"), text("second")],
    [text("bytes"), Buffer.from([0, 255, 10])],
  ];
  writeFileSync(path, makeCdb([...all, ...odd]));
  const cdb = (...args: string[]) => spawnSync("cdb", args, { encoding: "latin1" });
  assert.equal(cdb("-q", path, "key77").stdout, "data 77");
  assert.equal(cdb("-q", path, "twice").stdout, "firstsecond");
  assert.equal(cdb("-q", path, "").stdout, "-=");
  assert.equal(cdb("-q", path, "none").status, 100);
  assert.equal(cdb("-l", path).stdout.split("\n").length, 506);
  const dump = cdb("-d", path).stdout;
  assert.ok(dump.startsWith("+4,6:key0->data 0\n"));
  assert.ok(dump.endsWith("+5,3:bytes->\0\xff\n\n\n"));
});

test("we read what tinycdb writes", { skip: withoutTinycdb }, () => {
  using directory = scratch();
  fc.assert(
    fc.property(pairs, (all) => {
      const path = join(directory.path, "theirs.cdb");
      const input = Buffer.concat([
        ...all.flatMap(([name, data]) => [
          text(`+${name.length},${data.length}:`),
          name,
          text("->"),
          data,
          text("\n"),
        ]),
        text("\n"),
      ]);
      const made = spawnSync("cdb", ["-c", "-t", `${path}.tmp`, path], { input });
      assert.equal(made.status, 0, made.stderr.toString());
      const theirs = readFileSync(path);
      for (const [name] of all) assert.deepEqual(cdbGet(theirs, name), first(all, name));
      assert.deepEqual([...cdbRecords(theirs)], all);
      assert.equal(theirs.length, makeCdb(all).length);
    }),
    { numRuns: 25 },
  );
});
