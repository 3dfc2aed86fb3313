/**
 * The time in front of a log line, in every form that qmail's logs are found in: TAI64N (multilog),
 * seconds with a fraction (splogger, cyclog, accustamp), ISO 8601 (rsyslog, tai64nlocal, docker and Kubernetes), and
 * syslog's, "Nov 24 15:00:00 host qmail: " or as RFC 5424 has it. Behind one there may be another, which then counts:
 * it is older, as splogger's or multilog's behind that of syslog or the journal. docker compose puts a name before all.
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
const ZERO = 48;
const NINE = 57;

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)([T ])(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?[ \t]+/;
const SYSLOG = /^([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? /;
const EPOCH = /^(\d{9,11})(?:\.(\d{1,9}))?[ +]/;
/** What syslog puts between time and text. The first words of our lines are no host names. */
const HOST_AND_TAG =
  /^(?!delivery |triple |@4000|\d{9,11}[. ])(?:\S*[^\s:]) ([^\s:[\]]+)(?:\[\d+\])?: /;
/** The version of RFC 5424 before its time; behind that are host, name, process, kind and structured data. */
const RFC5424 = /^1 (?=\d{4}-)/;
const RFC5424_REST = /^\S+ (\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?:\xef\xbb\xbf)?|$)/;
/** The priority that syslog sends, and some write. */
const PRIORITY = /^<\d{1,3}>/;
/** The stream, and whether the line is whole, as Kubernetes has it. */
const CONTAINER = /^(?:stdout|stderr) [FP] /;
/** docker compose's name of the container, which may have a colour. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
const COMPOSE = /^(?:\x1b\[[\d;]*m)*[\w.-]+ *\|(?:\x1b\[[\d;]*m)* (?:\x1b\[[\d;]*m)*/;
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
/** A stamp, host and tag are within so many bytes. */
const PREFIX_MAX = 320;
const EPOCH_MAX = 22;

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
    // One behind that is older.
    if (this.at > from && !this.continued) this.#readInner(bytes, this.at, to);
  }

  /** Only those that no text begins with. */
  #readInner(bytes: Uint8Array, from: number, to: number): void {
    const first = bytes[from] as number;
    if (first === AT) this.#readTai(bytes, from, to);
    else if (first >= ZERO && first <= NINE) {
      const epoch = EPOCH.exec(latin1(bytes, from, Math.min(to, from + EPOCH_MAX)));
      if (epoch) this.#takeEpoch(epoch, from);
    }
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
    const name = COMPOSE.exec(text)?.[0].length ?? 0;
    this.at = from + name;
    if (bytes[this.at] === AT) this.#readTai(bytes, this.at, to);
    else this.#readStamp(text.slice(name), this.at);
  }

  /** The stamp that `text`, the bytes from `from` on, may begin with. */
  #readStamp(text: string, from: number): void {
    const epoch = EPOCH.exec(text);
    if (epoch) {
      this.#takeEpoch(epoch, from);
      return;
    }
    let length = PRIORITY.exec(text)?.[0].length ?? 0;
    const version = RFC5424.exec(text.slice(length));
    length += version?.[0].length ?? 0;
    const dated = this.#readDate(text.slice(length));
    if (dated === null) return;
    length += dated.length;
    const rest = text.slice(length);
    const host = version ? RFC5424_REST.exec(rest) : dated.bare ? null : HOST_AND_TAG.exec(rest);
    const before = host ?? CONTAINER.exec(rest);
    this.tag = host?.[1] ?? "";
    this.at = from + length + (before?.[0].length ?? 0);
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
