/** multilog: lines from standard input into log directories, `multilog t s1000000 n10 ./main`. */

import { mkdirSync } from "node:fs";
import { EXIT } from "../exit.ts";
import { LogDirectory } from "./log-directory.ts";
import { type LogScript, parseScript, selects } from "./script.ts";
import { Stamper } from "./stamper.ts";
import { formatTai64n, STAMP_LENGTH } from "./tai64n.ts";

function run({ stamps, targets }: LogScript): void {
  const outputs = targets.map((target) => {
    mkdirSync(target.directory, { recursive: true, mode: 0o700 });
    return { target, directory: new LogDirectory(target.directory, target.limits) };
  });
  const stamper = new Stamper();
  const prefix = () => (stamps ? `${formatTai64n(Date.now())} ` : "");
  const skip = stamps ? STAMP_LENGTH + 1 : 0;
  const write = (text: string) => {
    for (const { target, directory } of outputs) {
      const lines = text.split("\n").slice(0, -1);
      const wanted =
        target.patterns.length === 0
          ? text
          : lines
              .filter((line) => selects(target, line.slice(skip)))
              .map((line) => `${line}\n`)
              .join("");
      if (wanted !== "") directory.write(Buffer.from(wanted, "latin1"), Date.now());
    }
  };
  process.stdin.on("data", (chunk: Buffer) =>
    write(stamper.push(chunk.toString("latin1"), prefix())),
  );
  process.stdin.on("end", () => {
    write(stamper.end(prefix()));
    for (const { directory } of outputs) directory.close();
  });
  // The end of the input ends us, not a signal: what is on its way is still written.
  process.on("SIGTERM", () => {});
}

if (import.meta.main) {
  process.title = "multilog";
  const script = parseScript(process.argv.slice(2));
  if (typeof script === "string") {
    process.stderr.write(`multilog: fatal: ${script}\n`);
    process.exitCode = EXIT.hard;
  } else run(script);
}
