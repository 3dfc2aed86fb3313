import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fakeScramKeys,
  makeScramKeys,
  parseClientFirst,
  serverFirst,
  verifyClientFinal,
} from "../../../qmail/checkpassword/scram.ts";

// The example of RFC 7677, section 3.
const CLIENT_FIRST = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST =
  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL =
  "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const keys = makeScramKeys("pencil", { salt: Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64") });
const first = parseClientFirst(CLIENT_FIRST) ?? assert.fail();

test("SCRAM-SHA-256 is that of RFC 7677", () => {
  assert.equal(first.user, "user");
  const server = serverFirst(first, SERVER_NONCE, keys);
  assert.equal(server, SERVER_FIRST);
  assert.equal(verifyClientFinal(CLIENT_FINAL, { first, server, keys }), SERVER_FINAL);
});

for (const [name, final] of [
  ["proof", CLIENT_FINAL.replace("p=dHz", "p=dHy")],
  ["nonce", CLIENT_FINAL.replace("r=rOp", "r=rOq")],
  ["binding", CLIENT_FINAL.replace("c=biws", "c=eSws")],
  ["form", "x"],
  ["short proof", CLIENT_FINAL.replace(/p=.*/, "p=AAAA")],
] as const) {
  test(`a wrong ${name} is refused`, () => {
    assert.equal(verifyClientFinal(final, { first, server: SERVER_FIRST, keys }), null);
  });
}

test("what we do not do is refused at the first word", () => {
  for (const message of [
    "",
    "n,,n=,r=x",
    "p=tls-unique,,n=u,r=x",
    "n,a=boss,n=u,r=x",
    "n,,m=1,n=u,r=x",
    "n,,n=a=b,r=x",
  ]) {
    assert.equal(parseClientFirst(message), null, message);
  }
  assert.equal(parseClientFirst("y,a=u,n=u,r=x")?.user, "u");
  assert.equal(parseClientFirst("n,,n=a=2Cb=3Dc,r=x")?.user, "a,b=c");
});

test("an unknown user looks like one, and the same one each time", () => {
  const secret = Buffer.alloc(32, 7);
  const server = serverFirst(first, "x", fakeScramKeys("nobody", secret));
  assert.equal(server, serverFirst(first, "x", fakeScramKeys("nobody", secret)));
  assert.notEqual(server, serverFirst(first, "x", fakeScramKeys("somebody", secret)));
  assert.match(server, /,s=[A-Za-z0-9+/]{22}==,i=4096$/);
});
