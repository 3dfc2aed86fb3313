/** Servers that do not do as they should, each with the report and the line in qmail-send's log that it must lead to. */

import type { Socket } from "node:net";
import type { Behaviour } from "./_server.ts";

export const MESSAGE = "Subject: test\n\nhello\n.dot\n";
const DIED = "Connected to 127.0.0.1 but connection died. (#4.4.2)\n";
const MAYBE = "Connected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n";

const close = (socket: Socket) => socket.destroy();
const silence = () => {};
/** Three of these take longer than a second, no one of them does. */
const late = (answer: string) => (socket: Socket) => {
  setTimeout(() => socket.write(`${answer}\r\n`), 600);
};

export interface Case {
  readonly server: Behaviour;
  /** Status and text. */
  readonly report: string;
  /** Behind "delivery 1: ". */
  readonly line: string;
  readonly message?: string;
  readonly sender?: string;
  readonly recipient?: string;
  readonly options?: string;
  /** Seconds that an answer may take. */
  readonly timeout?: string;
  /** Seconds that the whole conversation may take. */
  readonly total?: string;
}

const pipelining = "250-far.test\r\n250 PIPELINING";

export const CASES: Readonly<Record<string, Case>> = {
  "pipelines, refuses the sender and goes": {
    server: { EHLO: pipelining, MAIL: (socket) => void socket.end("554 5.7.1 blocked\r\n") },
    line: "failure: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_554_5.7.1_blocked/",
    report:
      "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 554 5.7.1 blocked\n",
  },
  "pipelines, says 421 to the sender and goes": {
    server: { EHLO: pipelining, MAIL: (socket) => void socket.end("421 4.7.0 slow down\r\n") },
    line: "deferral: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_421_4.7.0_slow_down/",
    report:
      "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 421 4.7.0 slow down\n",
  },
  "pipelines, refuses the recipient and goes": {
    server: { EHLO: pipelining, RCPT: (socket) => void socket.end("554 5.7.1 blocked\r\n") },
    line: "failure: 127.0.0.1_does_not_like_recipient./Remote_host_said:_554_5.7.1_blocked/Giving_up_on_127.0.0.1./",
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 554 5.7.1 blocked\nGiving up on 127.0.0.1.\n",
  },
  "says that it goes where nobody has asked": {
    server: { RCPT: (socket) => void socket.end("250 ok\r\n421 4.3.2 shutting down\r\n") },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/Remote_host_said:_421_4.3.2_shutting_down/",
    report:
      "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\nRemote host said: 421 4.3.2 shutting down\n",
  },
  "goes in the middle of a refusal": {
    server: { greeting: (socket) => void socket.end("554-blocked by\r\n554-list.test\r\n") },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/Remote_host_said:_554-blocked_by/554-list.test/",
    report:
      "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\nRemote host said: 554-blocked by\n554-list.test\n",
  },
  "says 421 to EHLO": {
    server: { EHLO: (socket) => void socket.end("421 4.7.0 busy\r\n") },
    line: "deferral: Connected_to_127.0.0.1_but_my_name_was_rejected./Remote_host_said:_421_4.7.0_busy/",
    report: "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 421 4.7.0 busy\n",
  },
  "does not like EHLO today, and would take HELO": {
    server: { EHLO: "451 later" },
    line: "deferral: Connected_to_127.0.0.1_but_my_name_was_rejected./Remote_host_said:_451_later/",
    report: "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 451 later\n",
  },
  "refuses EHLO and goes": {
    server: { EHLO: (socket) => void socket.end("554 5.7.1 blocked\r\n") },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/Remote_host_said:_554_5.7.1_blocked/",
    report:
      "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\nRemote host said: 554 5.7.1 blocked\n",
  },
  "asks for more where there is no more": {
    server: { MAIL: "334 and?" },
    line: "failure: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_334_and?/",
    report: "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 334 and?\n",
  },
  "says to go ahead in place of taking the message": {
    server: { end: "354 go" },
    line: "deferral: Connected_to_127.0.0.1_but_it_said_more_than_it_was_asked._Possible_duplicate!_(#4.5.0)/",
    report:
      "ZConnected to 127.0.0.1 but it said more than it was asked. Possible duplicate! (#4.5.0)\n",
  },
  "has lines without a code in its greeting": {
    server: { greeting: "220-hello\r\n\r\nNO SPAM\r\n220 ready" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has lines without a code before its greeting, and in its hello": {
    server: { greeting: "hello\r\n220 ready", EHLO: "250-hi\r\n * SIZE 1\r\n250 HELP" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has a line without a code where it takes the message": {
    server: { end: "250-2.0.0 message\r\n accepted\r\n250 ok" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250-2.0.0_message/_accepted/250_ok/",
    report:
      "K127.0.0.1 accepted message.\nRemote host said: 250-2.0.0 message\n accepted\n250 ok\n",
  },
  "does everything right": {
    server: {},
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "answers in many lines": {
    server: { end: "250-it is\r\n250-all\r\n250 well" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250-it_is/250-all/250_well/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250-it is\n250-all\n250 well\n",
  },
  "ends lines with a bare LF": {
    server: {
      greeting: (socket) => void socket.write("220 hi\n"),
      MAIL: (socket) => void socket.write("250-a\n250 b\n"),
    },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "greets byte by byte": {
    server: {
      greeting: (socket) => {
        const bytes = [..."220 slow\r\n"];
        const timer = setInterval(() => {
          const byte = bytes.shift();
          if (byte) socket.write(byte);
          else clearInterval(timer);
        }, 5);
      },
    },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "closes at once": {
    server: { greeting: close },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
  },
  "says nothing": {
    server: { greeting: silence },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
    timeout: "1",
  },
  "sends a byte now and then": {
    server: {
      greeting: (socket) => {
        const timer = setInterval(() => socket.write("2"), 300);
        socket.on("close", () => clearInterval(timer));
      },
    },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
    timeout: "1",
  },
  "answers its name just in time, each time": {
    server: { greeting: late("220 hi"), EHLO: late("500 no"), HELO: late("250 hi") },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
    total: "1",
  },
  "answers just in time, each time": {
    server: { MAIL: late("250 ok"), RCPT: late("250 ok"), DATA: late("354 go") },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
    total: "1",
  },
  "leaves no time for the answer to the message": {
    server: { end: silence },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._Possible_duplicate!_(#4.4.2)/",
    report: `Z${MAYBE}`,
    total: "1",
  },
  "greets with 421": {
    server: { greeting: "421 too busy" },
    line: "deferral: Connected_to_127.0.0.1_but_greeting_failed./Remote_host_said:_421_too_busy/",
    report: "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 421 too busy\n",
  },
  "greets with 554": {
    server: { greeting: "554 go away" },
    line: "deferral: Connected_to_127.0.0.1_but_greeting_failed./Remote_host_said:_554_go_away/",
    report: "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 go away\n",
  },
  "speaks another language": {
    server: { greeting: "SSH-2.0-OpenSSH_9.2" },
    timeout: "1",
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/Remote_host_said:_SSH-2.0-OpenSSH_9.2/",
    report: `Z${DIED}Remote host said: SSH-2.0-OpenSSH_9.2\n`,
  },
  "knows HELO only": {
    server: { EHLO: "502 what?" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "does not like our name": {
    server: { EHLO: "501 no", HELO: "501 no" },
    line: "deferral: Connected_to_127.0.0.1_but_my_name_was_rejected./Remote_host_said:_501_no/",
    report: "ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 501 no\n",
  },
  "refuses the sender for now": {
    server: { MAIL: "451 later" },
    line: "deferral: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_451_later/",
    report: "ZConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 451 later\n",
  },
  "refuses the sender": {
    server: { MAIL: "550 never" },
    line: "failure: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_550_never/",
    report: "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 never\n",
  },
  "refuses the recipient for now": {
    server: { RCPT: "450 greylisted" },
    line: "deferral: 127.0.0.1_does_not_like_recipient./Remote_host_said:_450_greylisted/Giving_up_on_127.0.0.1./",
    report:
      "Z127.0.0.1 does not like recipient.\nRemote host said: 450 greylisted\nGiving up on 127.0.0.1.\n",
  },
  "refuses the recipient": {
    server: { RCPT: "550 nobody" },
    line: "failure: 127.0.0.1_does_not_like_recipient./Remote_host_said:_550_nobody/Giving_up_on_127.0.0.1./",
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 nobody\nGiving up on 127.0.0.1.\n",
  },
  "says 421 in the middle": {
    server: { RCPT: (socket) => void socket.end("421 shutting down\r\n") },
    line: "deferral: 127.0.0.1_does_not_like_recipient./Remote_host_said:_421_shutting_down/Giving_up_on_127.0.0.1./",
    report:
      "Z127.0.0.1 does not like recipient.\nRemote host said: 421 shutting down\nGiving up on 127.0.0.1.\n",
  },
  "refuses DATA for now": {
    server: { DATA: "451 disk" },
    line: "deferral: 127.0.0.1_failed_on_DATA_command./Remote_host_said:_451_disk/",
    report: "Z127.0.0.1 failed on DATA command.\nRemote host said: 451 disk\n",
  },
  "refuses DATA": {
    server: { DATA: "554 no" },
    line: "failure: 127.0.0.1_failed_on_DATA_command./Remote_host_said:_554_no/",
    report: "D127.0.0.1 failed on DATA command.\nRemote host said: 554 no\n",
  },
  "answers DATA with 250": {
    server: { DATA: "250 ok" },
    line: "failure: 127.0.0.1_failed_on_DATA_command._(#5.5.0)/Remote_host_said:_250_ok/",
    report: "D127.0.0.1 failed on DATA command. (#5.5.0)\nRemote host said: 250 ok\n",
  },
  "refuses the message for now": {
    server: { end: "452 full" },
    line: "deferral: 127.0.0.1_failed_after_I_sent_the_message./Remote_host_said:_452_full/",
    report: "Z127.0.0.1 failed after I sent the message.\nRemote host said: 452 full\n",
  },
  "refuses the message": {
    server: { end: "554 spam" },
    line: "failure: 127.0.0.1_failed_after_I_sent_the_message./Remote_host_said:_554_spam/",
    report: "D127.0.0.1 failed after I sent the message.\nRemote host said: 554 spam\n",
  },
  "hangs up after MAIL": {
    server: { MAIL: close },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
  },
  "hangs up after the final dot": {
    server: { end: close },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._Possible_duplicate!_(#4.4.2)/",
    report: `Z${MAYBE}`,
  },
  "says nothing after the final dot": {
    server: { end: silence },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._Possible_duplicate!_(#4.4.2)/",
    report: `Z${MAYBE}`,
    timeout: "1",
  },
  "hangs up with a reason while it gets the message": {
    server: { DATA: (socket) => void socket.end("354 go\r\n552 too much\r\n") },
    message: `Subject: x\n\n${"0123456789\n".repeat(400_000)}`,
    line: "failure: 127.0.0.1_failed_after_I_sent_the_message./Remote_host_said:_552_too_much/",
    report: "D127.0.0.1 failed after I sent the message.\nRemote host said: 552 too much\n",
  },
  "talks without end": {
    server: {
      MAIL: (socket) => {
        const more = () => {
          while (!socket.destroyed && socket.write("250-x\r\n".repeat(1000)));
        };
        socket.on("drain", more);
        more();
      },
    },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
  },
  "has a line without end": {
    server: { greeting: (socket) => void socket.write(`220 ${"x".repeat(2 << 20)}`) },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
  },
  "sends NUL in a reply": {
    server: { RCPT: "550 a\0b" },
    line: "failure: 127.0.0.1_does_not_like_recipient./Remote_host_said:_550_a?b/Giving_up_on_127.0.0.1./",
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 a?b\nGiving up on 127.0.0.1.\n",
  },
  "answers nonsense": {
    server: { MAIL: "ok" },
    timeout: "1",
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/Remote_host_said:_ok/",
    report: `Z${DIED}Remote host said: ok\n`,
  },
  "takes less than the message has": {
    server: { EHLO: "250-far.test\r\n250 SIZE 10" },
    line: "failure: 127.0.0.1_takes_no_message_larger_than_10_bytes,_and_this_has_26._(#5.3.4)/",
    report: `D127.0.0.1 takes no message larger than 10 bytes, and this has ${MESSAGE.length}. (#5.3.4)\n`,
  },
  "lies about SIZE": {
    server: { EHLO: "250-far.test\r\n250 SIZE 1000000", MAIL: "552 too large all the same" },
    line: "failure: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_552_too_large_all_the_same/",
    report:
      "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 552 too large all the same\n",
  },
  "has a SIZE that is no number": {
    server: { EHLO: "250-far.test\r\n250 SIZE huge" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has no 8BITMIME, and is sent it all the same": {
    server: {},
    message: "Subject: \xfc\n\n\xe4\n",
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has no 8BITMIME, where that counts": {
    server: {},
    message: "Subject: \xfc\n\n\xe4\n",
    options: "8bit=refuse",
    line: "failure: 127.0.0.1_takes_no_8-bit_text_(no_8BITMIME)._(#5.6.3)/",
    report: "D127.0.0.1 takes no 8-bit text (no 8BITMIME). (#5.6.3)\n",
  },
  "has no SMTPUTF8, and need not for the text of a header": {
    server: {},
    message: "From: J\xc3\xbcrgen <me@near.test>\nSubject: \xc3\xbc\n\nx\n",
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "has no SMTPUTF8": {
    server: {},
    sender: "j\xc3\xbcrgen@near.test",
    line: "failure: 127.0.0.1_takes_no_addresses_that_are_not_ASCII_(no_SMTPUTF8)._(#5.6.7)/",
    report: "D127.0.0.1 takes no addresses that are not ASCII (no SMTPUTF8). (#5.6.7)\n",
  },
  "has no SMTPUTF8 for the recipient": {
    server: {},
    recipient: "j\xc3\xbcrgen@far.test",
    line: "failure: 127.0.0.1_takes_no_addresses_that_are_not_ASCII_(no_SMTPUTF8)._(#5.6.7)/",
    report: "D127.0.0.1 takes no addresses that are not ASCII (no SMTPUTF8). (#5.6.7)\n",
  },
  "has SMTPUTF8 and does not like what it carries": {
    server: { EHLO: "250-far.test\r\n250 SMTPUTF8", RCPT: "553 5.6.7 not here" },
    recipient: "j\xc3\xbcrgen@far.test",
    line: "failure: 127.0.0.1_does_not_like_recipient./Remote_host_said:_553_5.6.7_not_here/Giving_up_on_127.0.0.1./",
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 553 5.6.7 not here\nGiving up on 127.0.0.1.\n",
  },
  "pipelines and refuses the sender, yet takes DATA": {
    server: { EHLO: pipelining, MAIL: "550 never" },
    line: "failure: Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_550_never/",
    report: "DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 never\n",
  },
  "pipelines and refuses the recipient, yet takes DATA": {
    server: { EHLO: pipelining, RCPT: "550 nobody" },
    line: "failure: 127.0.0.1_does_not_like_recipient./Remote_host_said:_550_nobody/Giving_up_on_127.0.0.1./",
    report:
      "D127.0.0.1 does not like recipient.\nRemote host said: 550 nobody\nGiving up on 127.0.0.1.\n",
  },
  "pipelines and hangs up in between": {
    server: { EHLO: pipelining, RCPT: close },
    line: "deferral: Connected_to_127.0.0.1_but_connection_died._(#4.4.2)/",
    report: `Z${DIED}`,
  },
  "offers no TLS where it is required": {
    server: {},
    options: "tls=require",
    line: "deferral: Connected_to_127.0.0.1_but_TLS_failed:_the_server_does_not_offer_it._(#4.7.5)/",
    report: "ZConnected to 127.0.0.1 but TLS failed: the server does not offer it. (#4.7.5)\n",
  },
  "refuses STARTTLS": {
    server: { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS: "454 no" },
    line: "success: 127.0.0.1_accepted_message./Remote_host_said:_250_taken/",
    report: "K127.0.0.1 accepted message.\nRemote host said: 250 taken\n",
  },
  "refuses STARTTLS where it is required": {
    server: { EHLO: "250-far.test\r\n250 STARTTLS", STARTTLS: "454 no" },
    options: "tls=require",
    line: "deferral: Connected_to_127.0.0.1_but_TLS_failed:_the_server_refused_it_(454)._(#4.7.5)/",
    report: "ZConnected to 127.0.0.1 but TLS failed: the server refused it (454). (#4.7.5)\n",
  },
};
