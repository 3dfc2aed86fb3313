/**
 * The messages that the harness sends, and what it makes of what arrives.
 *
 * A letter carries a token in its text and the number of its world in text and addresses: trees of many
 * crashes are recovered in one queue, and what arrives must be told apart. The number has always five
 * digits, so that it can be changed in any file without moving a byte.
 */

export const HOST = "mail.example.test";
export const WORLD_DIGITS = 5;
/** The world in which letters are sent. */
export const FIRST_WORLD = "0".repeat(WORLD_DIGITS);

/** One thing that must arrive. */
export interface Outcome {
  readonly kind: "mail" | "bounce";
  /** The local part it is delivered to, without the world; "mbox" is the mbox. */
  readonly box: string;
}

export interface Letter {
  readonly token: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly text: string;
  readonly outcomes: readonly Outcome[];
}

/** An address in the first world. */
function address(box: string): string {
  return box === "" ? "" : `${box}-${FIRST_WORLD}@${HOST}`;
}

function letterText(token: string, size: number): string {
  const head = `X-World: ${FIRST_WORLD}\nX-Token: ${token}\nSubject: torture\n\n`;
  let body = "";
  for (let line = 0; head.length + body.length < size; line++) body += `${token} line ${line}\n`;
  return `${head}${body}${END} ${token}\n`;
}

const END = "-- end of";

/** A letter of at least `size` bytes from `sender` to `boxes`. */
export function letter(
  token: string,
  {
    sender = "back",
    boxes,
    size = 300,
  }: { sender?: string; boxes: readonly string[]; size?: number },
): Letter {
  const outcomes: Outcome[] = [];
  for (const box of boxes) outcomes.push(...outcomesOf(box, sender));
  const bounces = outcomes.filter(({ kind }) => kind === "bounce").slice(0, 1);
  const mails = outcomes.filter(({ kind }) => kind === "mail");
  return {
    token,
    sender: address(sender),
    recipients: boxes.map(address),
    text: letterText(token, size),
    outcomes: [...mails, ...bounces],
  };
}

function outcomesOf(box: string, sender: string): Outcome[] {
  if (box.startsWith("nobody")) {
    const to = sender.startsWith("nobody") ? "postmaster" : sender;
    return [{ kind: "bounce", box: to }];
  }
  if (box.startsWith("forward")) return [{ kind: "mail", box: "box-forwarded" }];
  return [{ kind: "mail", box }];
}

/** Something found in a mailbox. */
export interface Arrival extends Outcome {
  readonly world: string;
  readonly token: string;
}

const HEADER = /^(Return-Path: <.*>|Delivered-To: .*|Received: \(qmail .*)$/;
const BOUNCE = "Hi. This is the qmail-send program at";

/**
 * What the delivered `text` is; a string that says what is wrong when it is not exactly one of `letters`,
 * or a bounce of one, whole.
 */
export function recognize(text: string, letters: ReadonlyMap<string, Letter>): Arrival | string {
  const from = text.indexOf("X-World: ");
  const token = /^X-Token: (\S+)$/m.exec(text)?.[1] ?? "";
  const sent = letters.get(token);
  if (from < 0 || !sent) return `not a letter: ${JSON.stringify(text.slice(0, 300))}`;
  const world = text.slice(from + 9, from + 9 + WORLD_DIGITS);
  const expected = sent.text.replace(`X-World: ${FIRST_WORLD}`, `X-World: ${world}`);
  if (text.slice(from) !== expected) return `not whole: ${token}: ${text.length} bytes`;
  const head = text.slice(0, from);
  const to = /^Delivered-To: (.*)@/m.exec(head)?.[1] ?? "";
  const box = to.replace(/-\d{5}$/, "");
  if (head.includes(BOUNCE)) {
    // A bounce says who failed, before the copy of the message.
    if (!/^<nobody.*>:$/m.test(head)) return `bounce without its paragraph: ${token}`;
    return { kind: "bounce", box, world, token };
  }
  const strange = head.split("\n").find((line) => line !== "" && !HEADER.test(line));
  if (strange !== undefined) return `strange line before ${token}: ${strange}`;
  return { kind: "mail", box, world, token };
}

/** `text` with its world changed: a tree's files for recovery beside others. */
export function moveWorld(text: string, world: string): string {
  return text
    .replaceAll(`-${FIRST_WORLD}@`, `-${world}@`)
    .replaceAll(`X-World: ${FIRST_WORLD}`, `X-World: ${world}`);
}

/** Key of an outcome of a letter. */
export function outcomeKey(token: string, { kind, box }: Outcome): string {
  return `${token} ${kind} ${box}`;
}
