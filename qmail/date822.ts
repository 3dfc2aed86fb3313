/** Dates as qmail writes them: UTC, no weekday, zone -0000 (RFC 5322 section 3.3; C qmail: date822fmt.c). */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `seconds` since 1970 as `23 Nov 2026 19:00:00 -0000`. */
export function date822(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()} ${time} -0000`;
}
