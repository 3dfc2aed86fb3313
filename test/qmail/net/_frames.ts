/** Frames as bytes, for those who keep to no rule. */

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
