/**
 * What may be said on a link (link.ts). A protocol is a table of kinds of frames; for each of its two ends a part
 * of that table says what is heard there. A frame of another type, one that is longer than its kind may be, or whose
 * bytes are none of its kind ends the link, before it is kept or anybody hears of it: handlers get values, not bytes.
 */

/** No frame is larger, whatever its kind. */
export const MAX_FRAME = 1 << 20;

/** One kind of frame. */
export interface Kind<T> {
  /** Its number on the wire. */
  readonly type: number;
  /** The longest payload, in bytes. */
  readonly max: number;
  /** What the payload says; null when it is none. A Buffer in it is a view, valid until the handler returns. */
  readonly parse: (payload: Buffer) => T | null;
}

/** What may be heard at one end of a link, by name. */
export type Kinds = Readonly<Record<string, Kind<unknown>>>;

/** Who takes what is heard: one function for each kind. */
export type Handlers<K extends Kinds> = {
  readonly [Name in keyof K]: (
    value: K[Name] extends Kind<infer T> ? T : never,
    id: number,
  ) => void;
};

/** One kind with its handler. */
export interface Ear {
  readonly max: number;
  /** False when the payload is none of this kind. */
  hear(id: number, payload: Buffer): boolean;
}

/** What a link hears: by type. */
export type Ears = ReadonlyMap<number, Ear>;

/** A kind of frame with number `type`, whose payload of `max` bytes at most is read by `parse`. */
export function kind<T>(type: number, max: number, parse: (payload: Buffer) => T | null): Kind<T> {
  return { type, max, parse };
}

/** What a link hears of `kinds`, and who takes it. */
export function heard<K extends Kinds>(kinds: K, handlers: Handlers<K>): Ears {
  const ears = Object.entries(kinds).map(([name, { type, max, parse }]): [number, Ear] => {
    const handler = handlers[name] as (value: unknown, id: number) => void;
    const hear = (id: number, payload: Buffer) => {
      const value = parse(payload);
      if (value === null) return false;
      handler(value, id);
      return true;
    };
    return [type, { max, hear }];
  });
  return new Map(ears);
}

/** A payload without bytes: its arrival says all. */
export function nothing(payload: Buffer): true | null {
  return payload.length === 0 ? true : null;
}

/** Bytes as they are. */
export function bytes(payload: Buffer): Buffer {
  return payload;
}

/** A byte string. */
export function text(payload: Buffer): string {
  return payload.toString("latin1");
}

/** A number of 4 bytes. */
export function uint32(payload: Buffer): number | null {
  return payload.length === 4 ? payload.readUInt32BE(0) : null;
}

/** The payload for the number `value`. */
export function formatUint32(value: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value);
  return payload;
}

/** One of two words, each a character: `yes` or `no`. */
export function either(yes: string, no: string): (payload: Buffer) => { yes: boolean } | null {
  return (payload) => {
    const word = payload.toString("latin1");
    return word === yes || word === no ? { yes: word === yes } : null;
  };
}
