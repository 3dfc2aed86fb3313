/** When a message was queued, as the Received line says that qmail-queue puts before it. */

import { closeSync, readSync } from "node:fs";
import { openFile } from "../../files/foreign-directory.ts";

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
/** The line is shorter. */
const LINE_MAX = 200;

/** Seconds since 1970; null when the file does not begin with qmail-queue's line. */
export function receivedTime(path: string): number | null {
  const { fd } = openFile(path);
  try {
    const bytes = Buffer.alloc(LINE_MAX);
    return parseReceived(bytes.toString("latin1", 0, readSync(fd, bytes, 0, LINE_MAX, 0)));
  } finally {
    closeSync(fd);
  }
}

/** The time in `Received: (qmail 123 invoked from network); 24 Nov 2026 20:08:49 -0000`. */
export function parseReceived(text: string): number | null {
  const match =
    /^Received: \(qmail \d+ invoked [^)\n]*\); (\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) -0000\n/.exec(
      text,
    );
  if (!match) return null;
  const [, day, month = "", year, hours, minutes, seconds] = match;
  const at = MONTHS.indexOf(month);
  if (at < 0 || at % 3 !== 0) return null;
  const time = Date.UTC(
    Number(year),
    at / 3,
    Number(day),
    Number(hours),
    Number(minutes),
    Number(seconds),
  );
  return Math.floor(time / 1000);
}
