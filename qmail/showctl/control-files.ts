/**
 * The control files with the words that qmail-showctl has for each (qmail-control(5), C qmail: qmail-showctl.c).
 * The words are interface: scripts of many sites look for them.
 */

export type ControlFile = { readonly name: string } & (
  | {
      /** The first line; without the file `me` if so, else `fallback`. */
      readonly kind: "line";
      readonly me: boolean;
      readonly fallback: string;
      readonly before: string;
    }
  | {
      /** The number that the first line starts with. */
      readonly kind: "number";
      readonly fallback: string;
      readonly before: string;
      readonly after: string;
    }
  | {
      /** Each line between `before` and `after`; `none` when there is no such file. */
      readonly kind: "list";
      readonly none: string;
      readonly before: string;
      readonly after: string;
    }
);

function line(name: string, fallback: string, before: string): ControlFile {
  return { kind: "line", name, me: false, fallback, before };
}

/** Without the file: our name. */
function name(name: string, before: string): ControlFile {
  return { kind: "line", name, me: true, fallback: name, before };
}

function number(name: string, fallback: string, [before, after = ""]: Around): ControlFile {
  return { kind: "number", name, fallback, before, after };
}

function list(name: string, none: string, [before, after = ""]: Around): ControlFile {
  return { kind: "list", name, none, before, after };
}

type Around = readonly [before: string, after?: string];

/** `rcpthosts` stands for that file and for morercpthosts, of which is said what the first makes of it. */
export const CONTROL_FILES: readonly (ControlFile | "rcpthosts")[] = [
  list("badmailfrom", "Any MAIL FROM is allowed.", ["", " not accepted in MAIL FROM."]),
  line("bouncefrom", "MAILER-DAEMON", "Bounce user name is "),
  name("bouncehost", "Bounce host name is "),
  number("concurrencylocal", "10", ["Local concurrency is "]),
  number("concurrencyremote", "20", ["Remote concurrency is "]),
  number("databytes", "0", ["SMTP DATA limit is ", " bytes"]),
  name("defaultdomain", "Default domain name is "),
  name("defaulthost", "Default host name is "),
  name("doublebouncehost", "2B recipient host: "),
  line("doublebounceto", "postmaster", "2B recipient user: "),
  name("envnoathost", "Presumed domain name is "),
  name("helohost", "SMTP client HELO host name is "),
  name("idhost", "Message-ID host name is "),
  name("localiphost", "Local IP address becomes "),
  list("locals", "Messages for me are delivered locally.", [
    "Messages for ",
    " are delivered locally.",
  ]),
  line("me", "undefined! Uh-oh", "My name is "),
  list("percenthack", "The percent hack is not allowed.", [
    "The percent hack is allowed for user%host@",
    ".",
  ]),
  name("plusdomain", "Plus domain name is "),
  list("qmqpservers", "No QMQP servers.", ["QMQP server: ", "."]),
  number("queuelifetime", "604800", ["Message lifetime in the queue is ", " seconds"]),
  "rcpthosts",
  name("smtpgreeting", "SMTP greeting: 220 "),
  list("smtproutes", "No artificial SMTP routes.", ["SMTP route: "]),
  number("timeoutconnect", "60", ["SMTP client connection timeout is ", " seconds"]),
  number("timeoutremote", "1200", ["SMTP client data timeout is ", " seconds"]),
  number("timeoutsmtpd", "1200", ["SMTP server data timeout is ", " seconds"]),
  list("virtualdomains", "No virtual domains.", ["Virtual domain: "]),
];

const RECIPIENTS: Around = ["SMTP clients may send messages to recipients at ", "."];

export const RCPTHOSTS = list(
  "rcpthosts",
  "SMTP clients may send messages to any recipient.",
  RECIPIENTS,
);

export const MORERCPTHOSTS = list("morercpthosts", "No effect.", RECIPIENTS);

export const MORERCPTHOSTS_IN_VAIN = list(
  "morercpthosts",
  "No rcpthosts; morercpthosts is irrelevant.",
  ["No rcpthosts; doesn't matter that morercpthosts has ", "."],
);

/** The rules of who may connect, of which tcprules makes `name`.cdb. */
export function rulesFile(name: string): ControlFile {
  return list(name, "", ["Rule for clients: "]);
}

/** What C qmail does not know: said of only where the file is there, so that without them its output is C's. */
export const OUR_FILES: readonly ControlFile[] = [
  list("badrcptto", "", ["", " not accepted in RCPT TO."]),
  line("bounceformat", "", "Bounces are written as "),
  number("bouncemaxbytes", "50000", [
    "A bounce in the format dsn gives back messages up to ",
    " bytes",
  ]),
  list("dnsservers", "", ["Name server: ", "."]),
  number("maxerrors", "20", ["SMTP and POP3 sessions end after ", " errors"]),
  number("maxjunk", "100", ["SMTP clients may give ", " commands that bring nothing forward"]),
  number("maxrcpt", "1000", ["SMTP and QMTP messages have at most ", " recipients"]),
  number("maxrcptqmqpd", "50000", ["QMQP messages have at most ", " recipients"]),
  number("minfree", "", ["Mail is taken while ", " bytes are free for the queue"]),
  number("mininodes", "1000", ["Mail is taken while ", " inodes are free for the queue"]),
  number("minrate", "500", ["Messages come in with at least ", " bytes a second"]),
  list("moreipme", "", ["", " is this host, too."]),
  list("notipme", "", ["", " is not this host."]),
  number("popbeforesmtp", "0", ["POP3 logins allow relaying for ", " seconds"]),
  list("qmtproutes", "", ["QMTP route: "]),
  list("remoteoptions", "", ["Options for remote delivery: "]),
  list("senderroutes", "", ["Route by sender: "]),
  number("slowerrors", "10", ["SMTP errors cost a second each after the first "]),
  line("srsdomain", "", "Forwarded senders are rewritten at "),
  number("timeoutpop3d", "1200", ["POP3 users may be idle for ", " seconds"]),
  number("timeoutpop3login", "120", ["POP3 clients have ", " seconds to log in"]),
  number("timeoutsession", "3600", ["SMTP server time for one session is ", " seconds"]),
  number("timeouttotal", "3600", ["SMTP client time for one message is ", " seconds"]),
  list("submissionsenders", "", ["Submission may send as (user:address) "]),
];

/** Passwords and secrets: said of, not shown. */
export const SECRET_FILES: Readonly<Record<string, string>> = {
  remoteauth: "Passwords for relays. (Not shown.)",
  srssecrets: "Secrets for the rewriting of senders. (Not shown.)",
};
