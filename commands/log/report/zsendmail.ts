/** zsendmail: each delivery and each message on a line in the manner of sendmail's log. */

import { Matchup } from "../../../qmail/log/matchup.ts";
import { latin1, StampReader } from "../../../qmail/log/stamp.ts";
import { LineCutter } from "../analysis/read.ts";
import type { Source } from "../sources.ts";

const STATES: Readonly<Record<string, string>> = { k: "Sent", d: "Failed", z: "Deferred" };

/** Writes what zsendmail makes of qmail-send's log, or of matchup's lines; others pass as they are. */
export async function zsendmail(
  sources: readonly Source[],
  write: (text: string) => void,
): Promise<void> {
  const matchup = new Matchup();
  const stamp = new StampReader(Date.now());
  let text = "";
  const cutter = new LineCutter((bytes, from, to) => {
    stamp.read(bytes, from, to);
    const line = latin1(bytes, from, to);
    const raw = Number.isNaN(stamp.ms)
      ? `${line}\n`
      : matchup.line(`${(stamp.ms / 1000).toFixed(6)} ${latin1(bytes, stamp.at, to)}`);
    for (const each of raw.split("\n").slice(0, -1)) text += `${sendmailLine(each)}\n`;
  });
  for (const source of sources) {
    for await (const chunk of source.open()) {
      cutter.push(chunk);
      write(text);
      text = "";
    }
    cutter.end();
  }
  write(text);
}

/** One line of matchup's in sendmail's manner. */
export function sendmailLine(line: string): string {
  const field = line.split(/ +/);
  const at = (number: number) => field[number - 1] ?? "";
  const since = (end: number, start: number) => (Number(at(end)) - Number(at(start))).toFixed(6);
  if (at(1) === "d") {
    const state = STATES[at(2)] ?? "Deferred";
    return `${at(5)} qp ${at(9)}: to=${at(8)}, uid=${at(10)}, ddelay=${since(5, 3)}, xdelay=${since(5, 4)}, stat=${state} (${at(11)})`;
  }
  if (at(1) !== "m") return line;
  const recipients = Number(at(5)) + Number(at(6));
  return `${at(3)} qp ${at(9)}: from=${at(8)}, uid=${at(10)}, size=${at(4)}, nrcpts=${recipients}, deferrals=${at(7)}, qtime=${since(3, 2)}`;
}
