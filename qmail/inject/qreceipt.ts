/** qreceipt(1): in a .qmail file, answers a request for a delivery notice. */

import { programArgs } from "../arguments.ts";
import { EXIT } from "../exit.ts";
import { quoteAddress } from "../quote.ts";
import { addressList } from "./addresslist.ts";
import { type Context, exitWith, type Outcome, programContext, refused } from "./context.ts";
import { HeaderBody } from "./headerbody.ts";
import { fieldName } from "./headerfield.ts";

const DONE: Outcome = { code: EXIT.ok, message: "" };

/** What the header says to us. */
interface Request {
  wanted: boolean;
  messageId: string;
  malformed: string | null;
}

/** Runs qreceipt for the address in `args`. */
export async function qreceipt(args: readonly string[], context: Context): Promise<Outcome> {
  const target = args[0];
  const sender = context.env.SENDER;
  if (target === undefined || sender === undefined) {
    return refused("usage: qreceipt deliveryaddress");
  }
  let request: Request;
  try {
    request = await readRequest(target, context.input);
  } catch (error) {
    return { code: EXIT.soft, message: `read error: ${(error as Error).message}` };
  }
  if (request.malformed !== null) return refused(`unable to parse this: ${request.malformed}`);
  // A bounce gets no answer.
  if (!request.wanted || sender === "" || sender === "#@[]") return DONE;
  const qmail = (await context.queue()).open();
  qmail.put(Buffer.from(notice(target, sender, request.messageId), "latin1"));
  const result = await qmail.close("", [sender]);
  if (result.ok) return DONE;
  return { code: result.permanent ? EXIT.hard : EXIT.soft, message: result.text };
}

async function readRequest(target: string, input: AsyncIterable<Buffer>): Promise<Request> {
  const request: Request = { wanted: false, messageId: "", malformed: null };
  const message = new HeaderBody((field) => takeField(field, target, request));
  for await (const chunk of input) message.push(chunk);
  message.end();
  return request;
}

function takeField(field: string, target: string, request: Request): void {
  const name = fieldName(field);
  if (name === "message-id") request.messageId = field;
  if (name !== "notice-requested-upon-delivery-to") return;
  const list = addressList(field, (address) => address);
  if (list === null) request.malformed ??= field;
  else if (list.addresses.includes(target)) request.wanted = true;
}

function notice(target: string, sender: string, messageId: string): string {
  const to = quoteAddress(sender);
  return [
    `From: DELIVERY NOTICE SYSTEM <${to}>\n`,
    `To: <${to}>\n`,
    "Subject: success notice\n\n",
    `Your message has been delivered to ${target},\n`,
    "as the sender's request for a notice asked to be told (qreceipt).\n",
    messageId === "" ? "" : `Your ${messageId}`,
  ].join("");
}

if (import.meta.main) {
  exitWith("qreceipt", await qreceipt(programArgs(), programContext()));
}
