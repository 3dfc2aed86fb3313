/**
 * What happened over time: equal buckets that become wider when there would be too many, and the week by
 * hour.
 */

const BUCKETS_MAX = 1200;
/** Widths in seconds, each a multiple of the one before, and such as a person reads; then it doubles. */
const WIDTHS = [10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400];
const QUARTER = 900_000;
/** Bounds of delays kept per bucket: 2^-6 s to 2^21 s. */
const DELAYS = 28;

export interface Bucket {
  new: number;
  ended: number;
  success: number;
  failure: number;
  deferral: number;
  bounces: number;
  accepted: number;
  refused: number;
  bytes: number;
  /** The largest number of messages in the queue; NaN when nothing was seen. */
  queue: number;
  local: number;
  remote: number;
  localMax: number;
  remoteMax: number;
  /** How many deliveries took up to 2^(i-6) s. */
  delays: Float64Array | null;
}

type Sum =
  | "new"
  | "ended"
  | "success"
  | "failure"
  | "deferral"
  | "bounces"
  | "accepted"
  | "refused"
  | "bytes";
const SUMS: readonly Sum[] = [
  "new",
  "ended",
  "success",
  "failure",
  "deferral",
  "bounces",
  "accepted",
  "refused",
  "bytes",
];
const PEAKS = ["queue", "local", "remote", "localMax", "remoteMax"] as const;

function emptyBucket(): Bucket {
  const sums = { new: 0, ended: 0, success: 0, failure: 0, deferral: 0, bounces: 0 };
  const more = { accepted: 0, refused: 0, bytes: 0, queue: 0 };
  return { ...sums, ...more, local: 0, remote: 0, localMax: 0, remoteMax: 0, delays: null };
}

export class Series {
  /** Milliseconds of a bucket. */
  width: number;
  #first = 0;
  #buckets: (Bucket | undefined)[] = [];

  constructor(width = 10_000) {
    this.width = width;
  }

  /** The bucket of the time `ms`. */
  at(ms: number): Bucket {
    const key = Math.floor(ms / this.width);
    if (this.#buckets.length === 0) this.#first = key;
    if (key < this.#first) this.#extendBack(key);
    const index = key - this.#first;
    if (index >= BUCKETS_MAX || index < 0) {
      this.#widen();
      return this.at(ms);
    }
    const bucket = this.#buckets[index];
    if (bucket) return bucket;
    const made = emptyBucket();
    while (this.#buckets.length < index) this.#buckets.push(undefined);
    this.#buckets[index] = made;
    return made;
  }

  /** Every bucket with its time in milliseconds. */
  list(): { ms: number; bucket: Bucket }[] {
    return Array.from(this.#buckets, (bucket, at) => ({
      ms: (this.#first + at) * this.width,
      bucket: bucket ?? emptyBucket(),
    }));
  }

  #extendBack(key: number): void {
    const missing = this.#first - key;
    if (missing + this.#buckets.length > BUCKETS_MAX) return;
    this.#buckets.unshift(...new Array<undefined>(missing).fill(undefined));
    this.#first = key;
  }

  #widen(): void {
    const old = this.list();
    this.width = 1000 * (WIDTHS.find((seconds) => seconds * 1000 > this.width) ?? this.width / 500);
    this.#first = Math.floor((old[0]?.ms ?? 0) / this.width);
    const merged: Bucket[] = [];
    for (const { ms, bucket } of old) {
      const index = Math.floor(ms / this.width) - this.#first;
      const into = merged[index] ?? emptyBucket();
      merged[index] = into;
      for (const name of SUMS) into[name] += bucket[name];
      for (const name of PEAKS) into[name] = Math.max(into[name], bucket[name]);
      into.delays = sumDelays(into.delays, bucket.delays);
    }
    this.#buckets = merged;
  }
}

function sumDelays(a: Float64Array | null, b: Float64Array | null): Float64Array | null {
  return a && b ? a.map((count, at) => count + (b[at] as number)) : (a ?? b);
}

/** Notes a delay of `seconds` in `bucket`. */
export function addDelay(bucket: Bucket, seconds: number): void {
  bucket.delays ??= new Float64Array(DELAYS);
  const at = seconds <= 1 / 64 ? 0 : Math.ceil(Math.log2(seconds)) + 6;
  const index = Math.min(DELAYS - 1, Math.max(0, at));
  bucket.delays[index] = (bucket.delays[index] as number) + 1;
}

/** About the delay that `percent` of the bucket's deliveries kept within; null when there were none. */
export function bucketDelay({ delays }: Bucket, percent: number): number | null {
  if (!delays) return null;
  const total = delays.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let at = 0; at < DELAYS; at++) {
    const count = delays[at] as number;
    if (count > 0 && (seen + count) * 100 >= percent * total) {
      // Within a bucket delays are taken as evenly spread.
      const low = at === 0 ? 0 : 2 ** (at - 7);
      return low + ((2 ** (at - 6) - low) * ((percent * total) / 100 - seen)) / count;
    }
    seen += count;
  }
  return null;
}

/** Messages by weekday (0: Sunday) and hour, in local time. */
export class Week {
  readonly counts = Array.from({ length: 7 }, () => new Array<number>(24).fill(0));
  #quarter = Number.NaN;
  #day = 0;
  #hour = 0;

  add(ms: number): void {
    const quarter = Math.floor(ms / QUARTER);
    if (quarter !== this.#quarter) {
      // No zone's hours begin but at quarters: one look at the calendar for all of them.
      const date = new Date(ms);
      this.#quarter = quarter;
      this.#day = date.getDay();
      this.#hour = date.getHours();
    }
    const day = this.counts[this.#day] as number[];
    day[this.#hour] = (day[this.#hour] as number) + 1;
  }
}
