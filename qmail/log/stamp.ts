/**
 * The time in front of a log line, in every form that qmail's logs are found in: TAI64N (multilog),
 * seconds with a fraction (splogger, cyclog, accustamp), ISO 8601 (rsyslog, tai64nlocal), and syslog's
 * "Nov 24 15:00:00 host qmail: ", behind which splogger puts its own stamp, which then counts.
 *
 * TAI64N is read from the bytes, as big logs have it; the others through strings, a second at a time.
 */

const DIGIT = new Int8Array(256).fill(-1);
for (let value = 0; value < 16; value++) DIGIT[value.toString(16).charCodeAt(0)] = value;

/** TAI was 10 s ahead of UTC in 1970; later leap seconds are left out (multilog/tai64n.ts). */
const TAI_AHEAD = 10;
const AT = 64;
const PLUS = 43;
const SPACE = 32;

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)([T ])(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?[ \t]+/;
const SYSLOG = /^([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? /;
const EPOCH = /^(\d{9,11})(?:\.(\d{1,9}))?[ +]/;
/** What syslog puts between time and text. The first words of our lines are no host names. */
const HOST_AND_TAG = /^(?!delivery |triple )(?:\S*[^\s:]) ([^\s:[\]]+)(?:\[\d+\])?: /;
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
/** A stamp, host and tag are within so many bytes. */
const PREFIX_MAX = 320;

/** Reads stamps. The result of `read` is in the fields, so that a line costs no object. */
export class StampReader {
  /** Milliseconds since 1970, with a fraction; NaN when the line has no stamp. */
  ms = Number.NaN;
  /** Where the text begins. */
  at = 0;
  /** The name that syslog has for the program; empty without. */
  tag = "";
  /** This line is the rest of the one before, which was too long for syslog. */
  continued = false;
  /** Syslog's stamps have no year: it is the one that puts them last before this. */
  readonly #now: number;
  #taiSecond = -1;
  #taiMs = 0;
  #dateKey = "";
  #dateMs = 0;

  constructor(now: number) {
    this.#now = now;
  }

  /** Reads the stamp of the line at `from` to `to` of `bytes`. */
  read(bytes: Uint8Array, from: number, to: number): void {
    this.tag = "";
    this.continued = false;
    this.at = from;
    this.ms = Number.NaN;
    if (bytes[from] === AT) this.#readTai(bytes, from, to);
    else this.#readText(bytes, from, to);
  }

  /** "@", 8 hex digits that are always 40000000, 8 of seconds, 8 of nanoseconds unless TAI64. */
  #readTai(bytes: Uint8Array, from: number, to: number): void {
    const seconds = hex8(bytes, from + 9);
    const nanoseconds = hex8(bytes, from + 17);
    if (to - from < 17 || seconds < 0 || hex8(bytes, from + 1) !== 0x40000000) return;
    const short = nanoseconds < 0 || to - from < 25;
    if (seconds !== this.#taiSecond) {
      this.#taiSecond = seconds;
      this.#taiMs = (seconds - TAI_AHEAD) * 1000;
    }
    this.ms = this.#taiMs + (short ? 0 : nanoseconds / 1_000_000);
    this.at = from + (short ? 17 : 25);
    if (bytes[this.at] === SPACE && this.at < to) this.at++;
  }

  #readText(bytes: Uint8Array, from: number, to: number): void {
    const text = latin1(bytes, from, Math.min(to, from + PREFIX_MAX));
    const epoch = EPOCH.exec(text);
    if (epoch) {
      this.#takeEpoch(epoch, from);
      return;
    }
    const dated = this.#readDate(text);
    if (dated === null) return;
    let length = dated.length;
    const host = dated.bare ? null : HOST_AND_TAG.exec(text.slice(length));
    if (host) {
      this.tag = host[1] ?? "";
      length += host[0].length;
    }
    this.at = from + length;
    const inner = EPOCH.exec(text.slice(length));
    if (inner) this.#takeEpoch(inner, this.at);
  }

  #takeEpoch(match: RegExpExecArray, from: number): void {
    const [whole, seconds, part = ""] = match;
    this.ms = Number(seconds) * 1000 + fraction(part);
    this.at = from + whole.length;
    this.continued = whole.charCodeAt(whole.length - 1) === PLUS;
  }

  #readDate(text: string): { length: number; bare: boolean } | null {
    const iso = ISO.exec(text);
    if (iso) {
      const [whole, , , , letter, , , , part = ""] = iso;
      this.ms =
        this.#second(whole.slice(0, 19) + (iso[9] ?? ""), () => isoSecond(iso)) + fraction(part);
      return { length: whole.length, bare: letter === " " };
    }
    const syslog = SYSLOG.exec(text);
    if (!syslog || !MONTHS.includes(syslog[1] ?? "?")) return null;
    const [whole, , , , , , part = ""] = syslog;
    this.ms =
      this.#second(whole.slice(0, 15), () => syslogSecond(syslog, this.#now)) + fraction(part);
    return { length: whole.length, bare: false };
  }

  /** Many lines are of the same second. */
  #second(key: string, compute: () => number): number {
    if (key !== this.#dateKey) {
      this.#dateMs = compute();
      this.#dateKey = key;
    }
    return this.#dateMs;
  }
}

/** 8 hex digits as a number; -1 when they are none. */
function hex8(bytes: Uint8Array, at: number): number {
  let high = 0;
  let low = 0;
  let bad = 0;
  for (let i = 0; i < 4; i++) {
    const h = DIGIT[bytes[at + i] as number] as number;
    const l = DIGIT[bytes[at + 4 + i] as number] as number;
    bad |= h | l;
    high = (high << 4) | h;
    low = (low << 4) | l;
  }
  return bad < 0 ? -1 : high * 65536 + low;
}

function fraction(digits: string): number {
  return digits === "" ? 0 : Number(`0.${digits}`) * 1000;
}

function isoSecond([, year, month, day, , hour, minute, second, , zone]: RegExpExecArray): number {
  const parts = [year, month, day, hour, minute, second].map(Number);
  const [y = 0, mo = 1, d = 1, h = 0, mi = 0, s = 0] = parts;
  if (zone === undefined) return new Date(y, mo - 1, d, h, mi, s).getTime();
  const utc = Date.UTC(y, mo - 1, d, h, mi, s);
  if (zone === "Z") return utc;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return utc + (zone.startsWith("-") ? 1 : -1) * minutes * 60_000;
}

function syslogSecond(
  [, name = "", day, hour, minute, second]: RegExpExecArray,
  now: number,
): number {
  const month = MONTHS.indexOf(name) / 3;
  const year = new Date(now).getFullYear();
  const at = (y: number) =>
    new Date(y, month, Number(day), Number(hour), Number(minute), Number(second)).getTime();
  // A day of grace for clocks and time zones.
  return at(year) > now + 86_400_000 ? at(year - 1) : at(year);
}

/** Bytes as the byte string that log lines are. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
