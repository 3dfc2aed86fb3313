/** What zoverall tells, with its names and its numbers. */

import type { Statistics } from "../analysis/statistics.ts";

/** The lines of zoverall; null: an empty line. What nothing was counted for is left out, as there. */
export function overallRows(statistics: Statistics): (readonly [string, string] | null)[] {
  return [
    ["Completed messages", String(statistics.messages)],
    ...messages(statistics),
    null,
    ...attempts(statistics),
  ];
}

function messages(s: Statistics): [string, string][] {
  if (s.messages === 0) return [];
  return [
    ["Recipients for completed messages", String(s.recipients)],
    ["Total delivery attempts for completed messages", String(s.tries)],
    ["Average delivery attempts per completed message", general(s.tries / s.messages)],
    ["Bytes in completed messages", String(s.messageBytes)],
    ["Bytes weighted by success", String(s.deliveredBytes)],
    ["Average message qtime (s)", general(s.qtime / s.messages)],
  ];
}

function attempts(s: Statistics): [string, string][] {
  const all = s.successes + s.failures + s.deferrals;
  const rows: [string, string][] = [["Total delivery attempts", String(all)]];
  if (all === 0) return rows;
  rows.push(
    ["  success", String(s.successes)],
    ["  failure", String(s.failures)],
    ["  deferral", String(s.deferrals)],
    ["Total ddelay (s)", s.ddelay.sum.toFixed(6)],
  );
  if (s.successes > 0) {
    rows.push(["Average ddelay per success (s)", (s.ddelay.sum / s.successes).toFixed(6)]);
  }
  rows.push(
    ["Total xdelay (s)", s.xdelay.toFixed(6)],
    ["Average xdelay per delivery attempt (s)", (s.xdelay / all).toFixed(6)],
  );
  const span = (s.last - s.first) / 1000;
  if (span > 0) {
    rows.push(["Time span (days)", general(span / 86_400)]);
    rows.push(["Average concurrency", general(s.xdelay / span)]);
  }
  return rows;
}

/** As awk(1) prints a number: whole ones whole, others as printf's %.6g. */
export function general(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -5 && exponent < 6) {
    const plain = Number(value.toPrecision(6));
    if (Math.abs(plain) >= 1e-4)
      return plain.toFixed(Math.max(0, 5 - exponent)).replace(/\.?0+$/, "");
  }
  const [digits = "", power = ""] = value.toExponential(5).split("e");
  const sign = power.startsWith("-") ? "-" : "+";
  return `${digits.replace(/\.?0+$/, "")}e${sign}${power.slice(1).padStart(2, "0")}`;
}
