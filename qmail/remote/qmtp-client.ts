/** The client's side of one QMTP conversation that hands over one message (https://cr.yp.to/proto/qmtp.txt). */

import type { Socket } from "node:net";
import { ByteReader } from "../net/byte-reader.ts";
import { formatNetstring, readNetstring } from "../net/netstring.ts";
import type { Conversation, Outcome, RecipientOutcome } from "./smtp-client.ts";

export const QMTP_PORT = 209;

/** Bytes of the longest answer that is read. */
const ANSWER_MAX = 5000;
/** The first byte of the message: its lines end in LF. */
const ENCODING = "\n";

/** As `converse` of the SMTP client: hands the message to the server at the other end of `socket`. */
export async function converseQmtp(
  socket: Socket,
  conversation: Omit<Conversation, "helohost">,
): Promise<Outcome> {
  const host = socket.remoteAddress ?? "";
  const { recipients, timeout } = conversation;
  socket.on("error", () => {});
  socket.setTimeout(timeout * 1000, () => socket.destroy());
  const answers: string[] = [];
  let sent = false;
  try {
    const input = new ByteReader(socket);
    for await (const piece of request(conversation)) await send(socket, piece);
    sent = true;
    for (const _ of recipients) {
      answers.push((await readNetstring(input, ANSWER_MAX)).toString("latin1"));
    }
  } catch (error) {
    if (!socket.destroyed && !sent) throw error;
    // The server may have queued it before we lost each other.
    const duplicate = sent ? "Possible duplicate! " : "";
    const text = `Connected to ${host} but connection died. ${duplicate}(#4.4.2)\n`;
    return { recipients: [], report: { status: "Z", text } };
  } finally {
    socket.destroy();
  }
  return outcome(host, answers);
}

async function* request({
  sender,
  recipients,
  message,
}: Pick<Conversation, "sender" | "recipients" | "message">): AsyncGenerator<Buffer> {
  yield Buffer.from(`${ENCODING.length + message.size}:${ENCODING}`);
  yield* message.chunks();
  yield Buffer.concat([
    Buffer.from(","),
    formatNetstring(sender),
    formatNetstring(Buffer.concat(recipients.map((recipient) => formatNetstring(recipient)))),
  ]);
}

function send(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function outcome(host: string, answers: readonly string[]): Outcome {
  const recipients = answers.map((answer) => recipientOutcome(host, answer));
  const taken = answers.find((answer) => answer.startsWith("K"));
  if (taken === undefined) {
    return { recipients, report: { status: "D", text: `Giving up on ${host}.\n` } };
  }
  const text = `${host} accepted message.\n${said(taken)}`;
  return { recipients, report: { status: "K", text } };
}

/** What is neither K nor D is no verdict: to be tried again. */
function recipientOutcome(host: string, answer: string): RecipientOutcome {
  if (answer.startsWith("K")) return { status: "r", text: "" };
  const text = `${host} does not like recipient.\n${said(answer)}`;
  return { status: answer.startsWith("D") ? "h" : "s", text };
}

function said(answer: string): string {
  return `Remote host said: ${answer.slice(1).replaceAll("\0", "?")}\n`;
}
