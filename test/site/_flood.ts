/**
 * Clients that mean no good, for flood.test.ts: `node _flood.ts PORT SLOW JUNK ADDRESSES`. SLOW of them send a byte every two
 * seconds, half of these in the middle of a message; JUNK send what is no command, as much as is taken. They come from
 * 127.0.0.2 and the next addresses, and whoever is sent away comes again. Ends with its standard input.
 */

import { connect } from "node:net";

const [port = 0, slow = 0, junk = 0, addresses = 1] = process.argv.slice(2).map(Number);
const BEAT_MS = 2000;
const AGAIN_MS = 1000;
const ENVELOPE = "MAIL FROM:<slow@flood.test>\r\nRCPT TO:<postmaster@mail.flood.test>\r\nDATA\r\n";

/** Talks from one address for ever; `begin` is said to the greeting, `more` when it is taken or at each beat. */
function client(number: number, { begin, more, beat }: Talk): void {
  const localAddress = `127.0.0.${2 + (number % addresses)}`;
  const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
  let timer: NodeJS.Timeout | undefined;
  socket.on("error", () => {});
  socket.on("data", () => {
    if (!beat) socket.write(more);
    else if (!timer) {
      socket.write(begin);
      timer = setInterval(() => socket.write(more), BEAT_MS);
    }
  });
  // Who is to be let go need not take it: the other side closes.
  socket.on("end", () => socket.destroy());
  socket.on("close", () => {
    clearInterval(timer);
    setTimeout(() => client(number, { begin, more, beat }), AGAIN_MS);
  });
}

interface Talk {
  readonly begin: string;
  readonly more: string;
  readonly beat: boolean;
}

for (let n = 0; n < slow; n++) {
  client(n, { begin: n % 2 === 0 ? "E" : ENVELOPE, more: "x", beat: true });
}
for (let n = 0; n < junk; n++) {
  client(n, { begin: "", more: "NONSENSE\r\n".repeat(100), beat: false });
}
process.stdin.on("end", () => process.exit(0)).resume();
