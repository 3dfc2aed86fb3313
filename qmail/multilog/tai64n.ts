/** TAI64N stamps, as tai64n and multilog write them: @, 16 hex digits of TAI seconds, 8 of nanoseconds. */

/** 2^62, and the 10 s that TAI was ahead of UTC in 1970. Later leap seconds are left out, as libtai without a table does. */
const TAI_OFFSET = 2n ** 62n + 10n;

export const STAMP_LENGTH = 25;

/** The stamp of `ms` milliseconds since 1970, without the space behind it. */
export function formatTai64n(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const nanoseconds = Math.floor((ms - seconds * 1000) * 1_000_000);
  const high = (TAI_OFFSET + BigInt(seconds)).toString(16).padStart(16, "0");
  return `@${high}${nanoseconds.toString(16).padStart(8, "0")}`;
}

/** Milliseconds since 1970 of the stamp that `text` begins with; null when it begins with none. */
export function parseTai64n(text: string): number | null {
  const match = /^@([0-9a-f]{16})([0-9a-f]{8})/.exec(text);
  if (!match) return null;
  const seconds = Number(BigInt(`0x${match[1]}`) - TAI_OFFSET);
  return seconds * 1000 + Math.floor(Number.parseInt(match[2] as string, 16) / 1_000_000);
}
