/** Frames as bytes, for those who keep to no rule; and what the least trusted peer of a link may say. */

/** A frame that says of itself what it likes. */
export function rawFrame(
  type: number,
  id: number,
  payload: Buffer | string = "",
  length = payload.length,
): Buffer {
  const frame = Buffer.alloc(9 + payload.length);
  frame[0] = type;
  frame.writeUInt32BE(id, 1);
  frame.writeUInt32BE(length, 5);
  frame.write(payload.toString("latin1"), 9, "latin1");
  return frame;
}

/** Numbers from 0 to below `end`, always the same for a seed (mulberry32). */
export function numbers(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * end);
  };
}

const LENGTHS = [0, 0, 1, 2, 4, 5, 8, 9, 12, 16, 40, 100, 300, 5000];

/** So many frames, of `types` for the most part, with payloads that are anything; a few of them lie about their length. */
export function rogueFrames(seed: number, types: readonly number[], count = 200): Buffer {
  const next = numbers(seed);
  const frames = Array.from({ length: count }, () => {
    const type = next(50) === 0 ? next(256) : (types[next(types.length)] as number);
    const payload = Buffer.alloc(LENGTHS[next(LENGTHS.length)] as number);
    const words = next(3) > 0;
    for (let at = 0; at < payload.length; at++) {
      // Digits, letters and NULs look more like something than bytes do.
      payload[at] = words ? ("0147KZDab@.\0".charCodeAt(next(12)) as number) : next(256);
    }
    const length = next(100) === 0 ? next(2 ** 32) : payload.length;
    return rawFrame(type, next(4) === 0 ? next(2 ** 32) : next(3), payload, length);
  });
  return Buffer.concat(frames);
}
