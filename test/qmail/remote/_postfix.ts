/** Debian's Postfix as the far side: one instance, a service for each thing that is asked of a client. */

import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePostfix } from "../../../bench/_postfix.ts";
import { getpwnam } from "../../../qmail/users/passwd.ts";
import { freePort, lacks, until } from "../../site/_site.ts";
import type { Issued } from "./_authority.ts";

/** False when it can be run, else why its tests are skipped. */
export const withoutPostfix: string | false = (() => {
  if (process.getuid?.() !== 0) return "needs root";
  if (!getpwnam("postfix")) return "Postfix is not installed";
  return lacks("postfix");
})();

/** What Postfix asks of a client, by the name of the service. */
const SERVICES = {
  /** TLS for whoever wants it. */
  may: ["smtpd_tls_security_level=may"],
  /** No TLS. */
  none: ["smtpd_tls_security_level=none"],
  /** No mail without TLS. */
  encrypt: ["smtpd_tls_security_level=encrypt"],
  /** Only for clients whose certificate it knows. */
  certificate: [
    "smtpd_tls_security_level=encrypt",
    "smtpd_tls_ask_ccert=yes",
    "smtpd_recipient_restrictions=permit_tls_clientcerts,reject",
  ],
  /** Only for clients who have logged in, in TLS. */
  login: [
    "smtpd_tls_security_level=may",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
  ],
  /** No SMTPUTF8. */
  ascii: ["smtpd_tls_security_level=none", "smtputf8_enable=no"],
} as const;

type Service = keyof typeof SERVICES;

export interface Postfix extends AsyncDisposable {
  readonly ports: Readonly<Record<Service, number>>;
  /** Lets in clients with this certificate. */
  know(client: Issued): void;
  /** The next message: its text as it came into the Maildir. */
  arrival(): Promise<string>;
  /** Messages that came and that `arrival` has not given. */
  readonly waiting: number;
}

export interface PostfixOptions {
  /** What it shows. */
  readonly issued: Issued;
  /** Who may log in. */
  readonly login?: { readonly user: string; readonly password: string };
  /** An address with port 25 besides, with what it asks for. */
  readonly mx?: { readonly ip: string; readonly service: Service };
}

/** Starts it. All mail that it takes comes into one Maildir. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-postfix-"));
  chmodSync(directory, 0o755);
  const file = (name: string, text: string, mode = 0o600) => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode });
    return path;
  };
  file("clients", "");
  const server = makePostfix(directory, await freePort(), 5, {
    smtpd_tls_chain_files: file("server.pem", options.issued.key + options.issued.cert),
    smtpd_tls_received_header: "yes",
    smtpd_tls_auth_only: "yes",
    smtpd_tls_fingerprint_digest: "sha256",
    relay_clientcerts: `texthash:${join(directory, "clients")}`,
    smtpd_relay_restrictions: "",
    // Whatever the domain: nothing goes on from here.
    virtual_mailbox_domains: "static:here",
    smtpd_recipient_restrictions: "permit_mynetworks,reject_unauth_destination",
    alias_maps: "",
    local_recipient_maps: "",
    smtpd_sasl_authenticated_header: "yes",
    smtpd_sasl_local_domain: "bench.test",
    smtputf8_enable: "yes",
    inet_interfaces: "all",
  });
  if (options.login) makeLogin(directory, options.login);
  const ports = await listenTo(directory, options.mx);
  server.start();
  const seen = new Set<string>();
  const fresh = () => readdirSync(server.maildir).filter((name) => !seen.has(name));
  return {
    ports,
    know({ x509 }) {
      writeFileSync(join(directory, "clients"), `${x509.fingerprint256} client\n`);
    },
    async arrival() {
      await until(() => fresh().length > 0, "a message in Postfix's Maildir");
      const [name] = fresh() as [string];
      seen.add(name);
      return readFileSync(join(server.maildir, name), "latin1");
    },
    get waiting() {
      return fresh().length;
    },
    async [Symbol.asyncDispose]() {
      server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Adds the services to master.cf, each with a port of its own. */
async function listenTo(
  directory: string,
  mx: PostfixOptions["mx"],
): Promise<Record<Service, number>> {
  const master = join(directory, "etc/master.cf");
  const add = (address: string, service: Service) => {
    const settings = SERVICES[service].map((setting) => ` -o ${setting}`);
    appendFileSync(master, `${address} inet n - n - - smtpd${settings.join("")}\n`);
  };
  const ports: Partial<Record<Service, number>> = {};
  for (const service of Object.keys(SERVICES) as Service[]) {
    const port = await freePort();
    ports[service] = port;
    add(`127.0.0.1:${port}`, service);
  }
  if (mx) add(`${mx.ip}:25`, mx.service);
  return ports as Record<Service, number>;
}

/** Cyrus SASL with a database of its own (saslpasswd2(8)). */
function makeLogin(
  directory: string,
  { user, password }: { readonly user: string; readonly password: string },
): void {
  // Debian's looks for its config beside main.cf.
  const sasl = join(directory, "etc/sasl");
  const database = join(sasl, "sasldb2");
  mkdirSync(sasl);
  const args = ["-p", "-c", "-f", database, "-u", "bench.test", user];
  execFileSync("saslpasswd2", args, { input: password });
  writeFileSync(
    join(sasl, "smtpd.conf"),
    `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${database}\nmech_list: CRAM-MD5 PLAIN LOGIN\n`,
  );
  const { uid, gid } = getpwnam("postfix") ?? { uid: 0, gid: 0 };
  for (const path of [sasl, database]) chownSync(path, uid, gid);
}

/** False when Postfix's logins can be tested, else why not. */
export const withoutSasl: string | false =
  withoutPostfix || lacks("saslpasswd2") || withoutPlugins();

function withoutPlugins(): string | false {
  const plugin = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/sasl2/libcrammd5.so`;
  return !existsSync(plugin) && "libsasl2-modules is not installed";
}
