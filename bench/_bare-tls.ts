/**
 * The floor: what Node's own TLS costs a server that does nothing but greet, answer and keep the connection. Started by
 * connections.ts with the certificate, the key and the port as arguments.
 */

import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";

const [certificate = "", key = "", port = "0"] = process.argv.slice(2);
const secureContext = createSecureContext({
  cert: readFileSync(certificate),
  key: readFileSync(key),
});

function converse(socket: Socket): void {
  socket.on("error", () => {});
  socket.on("data", (line) => {
    const [verb] = String(line).split(/[ \r]/);
    if (verb === "QUIT") socket.end("221 bye\r\n");
    else if (verb === "STARTTLS") secure(socket);
    else socket.write("250 ok\r\n");
  });
}

function secure(socket: Socket): void {
  socket.removeAllListeners("data");
  socket.write("220 go ahead\r\n");
  converse(new TLSSocket(socket, { isServer: true, secureContext }));
}

createServer({ noDelay: true }, (socket) => {
  converse(socket);
  socket.write("220 bare ESMTP\r\n");
}).listen(Number(port), "127.0.0.1");
