/** Imports run one way and in no circle: HACKING.md, "The map". */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
  /** Types vanish: they make no circle. */
  readonly typeOnly: boolean;
}

/** What must not be imported: path of the importing file, path or package imported, reason. */
const FORBIDDEN: readonly (readonly [RegExp, RegExp, string])[] = [
  [/^commands\//, /^cli\//, "commands do not know the command line"],
  [/^qmail\//, /^(cli|commands)\//, "the mail system does not know its commands"],
  [
    /^qmail\/(?!dns\/message|remote\/mta-sts-fetch)/,
    /^(?!node:|qmail\/)/,
    "the mail system needs nothing but Node, but for DNS messages and HTTPS",
  ],
  [
    /^qmail\/send\//,
    /^qmail\/(local|remote|smtpd|inject|forward|maildir|vacation)\//,
    "mail leaves qmail-send through the spawn protocol",
  ],
  [/^qmail\/send\//, /^qmail\/spawn\/(?!report|protocol)/, "qmail-send knows the protocol alone"],
  [
    /^qmail\/(local|remote|smtpd|inject|forward|maildir|vacation)\//,
    /^qmail\/send\//,
    "doors and deliveries do not know qmail-send",
  ],
  [
    /^qmail\/queue\//,
    /^qmail\/(send|spawn|local|remote|smtpd|inject)\//,
    "the queue knows nobody above it",
  ],
  [
    /^qmail\/(files|net|control|cdb|dns)\//,
    /^qmail\/(?!files|net|control|cdb|dns|exit)/,
    "leaves know only leaves",
  ],
];

function sources(root: string): string[] {
  return ["cli", "commands", "qmail"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${folder}/${name}`),
  );
}

function imports(root: string, from: string): Import[] {
  const text = readFileSync(join(root, from), "utf8");
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s+)?[^;"]*?\bfrom\s+"([^"]+)"|import\("([^"]+)"\)/g;
  return [...text.matchAll(pattern)].map((match) => {
    const target = match[3] ?? match[4] ?? "";
    const to = target.startsWith(".") ? relative(root, join(root, dirname(from), target)) : target;
    return { from, to, typeOnly: match[2] !== undefined };
  });
}

/** Everything wrong with the imports below `root`, a line each. */
function faults(root: string): string[] {
  const all = sources(root).flatMap((file) => imports(root, file));
  const wrong = all.flatMap(({ from, to }) =>
    FORBIDDEN.filter(([files, targets]) => files.test(from) && targets.test(to)).map(
      ([, , why]) => `${from} imports ${to}: ${why}`,
    ),
  );
  return [...wrong, ...circles(all.filter(({ typeOnly }) => !typeOnly))];
}

function circles(all: readonly Import[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of all) targets.set(from, [...(targets.get(from) ?? []), to]);
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) {
      found.push(`circle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of targets.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return found;
}

test("imports run one way, and in no circle", () => {
  assert.ok(sources(ROOT).length > 50);
  assert.deepEqual(faults(ROOT), []);
});

test("a wrong import and a circle are found", () => {
  const root = mkdtempSync(join(tmpdir(), "qmailctl-imports-"));
  try {
    for (const folder of ["cli", "commands", "qmail/send", "qmail/local"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    const write = (name: string, text: string) => writeFileSync(join(root, name), text);
    write("cli/main.ts", 'import { a } from "../commands/a.ts";\n');
    write("commands/a.ts", 'import { b } from "./b.ts";\nimport x from "../cli/main.ts";\n');
    write("commands/b.ts", 'import {\n  a,\n} from "./a.ts";\n');
    write("qmail/send/todo.ts", 'import { x } from "../local/local.ts";\nimport zod from "zod";\n');
    write("qmail/local/local.ts", 'import { readFileSync } from "node:fs";\n');
    const text = faults(root).join("\n");
    assert.match(text, /commands\/a\.ts imports cli\/main\.ts/);
    assert.match(text, /qmail\/send\/todo\.ts imports qmail\/local\/local\.ts/);
    assert.match(text, /qmail\/send\/todo\.ts imports zod/);
    assert.match(text, /circle: commands\/a\.ts -> commands\/b\.ts -> commands\/a\.ts/);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
