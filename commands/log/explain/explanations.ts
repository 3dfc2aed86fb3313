/** What qmail's texts, codes and exit codes mean, why they come, and what to run next. Data only. */

export interface Explanation {
  /** The text, as it is logged or said. */
  readonly pattern: RegExp;
  readonly meaning: string;
  readonly causes: readonly string[];
  readonly next: readonly string[];
}

function row(
  pattern: RegExp,
  meaning: string,
  causes: readonly string[],
  next: readonly string[],
): Explanation {
  return { pattern, meaning, causes, next };
}

const QUEUE_SPACE = ["df -h and df -i of the queue's file system", "qmailctl status"];

/** The first that matches counts. Underscores of the log are blanks by then. */
export const TEXTS: readonly Explanation[] = [
  row(
    /no mailbox here by that name/i,
    "No user, alias or extension takes this address.",
    [
      "a mistyped address",
      "a missing ~alias/.qmail-NAME or ~/.qmail-EXT",
      "the domain is in locals but should be in virtualdomains",
    ],
    ["ls -la ~alias/.qmail-*", "cat control/locals control/virtualdomains"],
  ),
  row(
    /looping: it already has my Delivered-To/i,
    "The message comes back to an address that it has been delivered to before.",
    ["two .qmail files forward to each other", "a forward to a host that sends it back"],
    ["read the .qmail files of the address", "qmailctl log trace MESSAGE"],
  ),
  row(
    /too many hops/i,
    "The message has too many Received lines.",
    ["two hosts that each send the domain's mail to the other"],
    ["dig MX of the domain", "cat control/smtproutes"],
  ),
  row(
    /listed as a best-preference MX/i,
    "DNS says that this host takes the domain's mail, the control files do not.",
    ["the domain is missing in control/locals, virtualdomains or rcpthosts"],
    ["add it there, then: qmailctl reload"],
  ),
  row(
    /takes no mail: its MX says so/i,
    "The domain has a null MX (RFC 7505): it takes no mail.",
    ["a mistyped domain", "a domain for web pages only"],
    ["dig MX of the domain"],
  ),
  row(
    /couldn't find (?:any host|a mail exchanger)|CNAME lookup failed|DNS/i,
    "DNS has no usable answer for the domain: for now (4.x), or says there is none (5.x).",
    [
      "a mistyped domain",
      "the resolver in /etc/resolv.conf does not answer",
      "the domain's name servers are down",
    ],
    ["dig MX of the domain", "cat /etc/resolv.conf"],
  ),
  row(
    /wasn't able to establish/i,
    "None of the domain's mail servers took a connection.",
    [
      "the host is down, or a firewall is between",
      "outgoing port 25 is closed here",
      "it was down minutes ago and is left alone for an hour (queue/lock/tcpto)",
    ],
    ["nc -vz HOST 25", "qmailctl log report rhosts"],
  ),
  row(
    /but TLS failed/i,
    "The other host's TLS did not come about, and the rules here ask for it.",
    [
      "its certificate does not match its name, MTA-STS policy or TLSA record",
      "it offers no STARTTLS",
      "a password is to go there (auth in control/remoteoptions): that takes a verified certificate",
    ],
    ["openssl s_client -starttls smtp -connect HOST:25"],
  ),
  row(
    /anybody could read the password/i,
    "The relay wants a password, and the connection is not one that passwords go over.",
    ["it has no TLS, or no certificate that can be verified"],
    ["cat control/remoteoptions: tls, name, ca; or authwithouttls"],
  ),
  row(
    /but authentication failed/i,
    "The relay did not take our login.",
    ["a wrong user or password in the route's file"],
    ["cat control/smtproutes, and the file of the logins for routes"],
  ),
  row(
    /cannot be sent by SMTP/i,
    "An address holds bytes that SMTP has no way to say.",
    ["a broken program or .qmail file made the address"],
    ["qmailctl queue list"],
  ),
  row(
    /told to leave before the message was sent/i,
    "The mail server was stopped while this delivery was under way. Nothing was handed over; it is tried again at the next start, or later.",
    ["qmailctl stop or restart, or a reboot, while a server had not answered yet"],
    ["qmailctl start, when it is to run", "qmailctl queue list --state todo"],
  ),
  row(
    /said more than it was asked/i,
    "The other side gave more answers than there were questions: which answers what is not known, so none of them counts.",
    ["a broken server, or something between here and there that speaks for it"],
    ["qmailctl send --trace ADDRESS"],
  ),
  row(
    /connection died|communication with mail server failed/i,
    "The other side ended the connection, or fell silent, in the middle.",
    [
      "a server that restarts or is overloaded",
      "a firewall or MTU trouble with large messages",
      "control/timeoutremote or control/timeouttotal is short",
    ],
    ["see whether it is one host: qmailctl log report rhosts deferrals"],
  ),
  row(
    /greeting failed|my name was rejected/i,
    "The other side refused before any message: its greeting or its answer to HELO.",
    ["this address is on a block list", "control/helohost has no matching reverse DNS"],
    ["cat control/helohost control/me", 'read the host\'s text behind "Remote host said"'],
  ),
  row(
    /sender was rejected|does not like recipient|failed (?:on|after)|Giving up on|Remote host said/i,
    "The other side refused the sender, the recipient or the message; its words are in the line.",
    [
      "5xx: no such user, or a policy: it will not change by trying",
      "4xx: greylisting, a limit, or trouble there: it is tried again",
    ],
    ['read the text behind "Remote host said"'],
  ),
  row(
    /accepted message/i,
    "The other host has taken the message: from here on it is its concern.",
    ["all is well"],
    ["nothing"],
  ),
  row(
    /^did \d+\+\d+\+\d+/i,
    "Delivered here: files, forwards and programs, so many of each.",
    ["all is well"],
    ["nothing; qp NUMBER is the forwarded message: qmailctl log trace NUMBER"],
  ),
  row(
    /takes no message larger than/i,
    "The other host has said that it takes no message of this size.",
    ["a large attachment"],
    ["send it another way, or in parts"],
  ),
  row(
    /takes no 8-bit text/i,
    "The text is not ASCII, the other host has no 8BITMIME, and the rules here forbid to send it all the same.",
    ["8bit=refuse in control/remoteoptions"],
    ["cat control/remoteoptions"],
  ),
  row(
    /addresses that need SMTPUTF8|takes no addresses that are not ASCII/i,
    "The address has letters outside ASCII, which need SMTPUTF8.",
    ["a mistyped address"],
    ["write to the address's ASCII form"],
  ),
  row(
    /address must include host name/i,
    "A remote recipient without a domain.",
    ["a forward to a bare name that is not local", "control/envnoathost is empty"],
    ["cat control/envnoathost control/defaultdomain"],
  ),
  row(
    /qq write error or disk full/i,
    "qmail-queue could not write the message: exit code 53.",
    ["the disk is full, or has no inodes left", "a quota of qmailq"],
    QUEUE_SPACE,
  ),
  row(
    /trouble creating files in queue/i,
    "qmail-queue could not make its files: exit codes 62 to 66.",
    [
      "wrong owners or modes in queue/",
      "no inodes left",
      "the queue was copied without its owners",
    ],
    ["qmailctl install --dry-run", ...QUEUE_SPACE],
  ),
  row(
    /qq temporary problem|unable to exec qq|trouble in home directory/i,
    "qmail-queue could not run, or ended in an unusual way.",
    [
      "QMAILQUEUE names a filter that crashes or is missing",
      "wrong modes of the home",
      "a memory limit",
    ],
    [
      "run the filter by hand: qmail-queue < message, and look at $?",
      "qmailctl log --service smtpd",
    ],
  ),
  row(
    /qq permanent problem|permanently rejected message/i,
    "qmail-queue, or the filter in its place, refused the message for good.",
    ["a QMAILQUEUE filter (virus, spam) said no"],
    ["the filter's own log"],
  ),
  row(
    /temporarily rejected message/i,
    "The filter in qmail-queue's place refused the message for now.",
    ["the filter's helper (clamd, spamd) is down"],
    ["the filter's own log"],
  ),
  row(
    /qq out of memory|out of memory/i,
    "A program was not given the memory it wanted: exit code 51.",
    ["softlimit or ulimit is too low", "the machine has none left"],
    ["free -m", "ulimit -a in the run script"],
  ),
  row(
    /qq timeout/i,
    "A message was being put into the queue for a day: exit code 52.",
    ["a program that keeps the pipe open"],
    ["ps -u qmailq"],
  ),
  row(
    /qq read error/i,
    "The message or its envelope ended early: exit code 54.",
    ["the injecting program died", "a QMAILQUEUE filter that does not copy the envelope"],
    ["run the filter by hand"],
  ),
  row(
    /unable to read configuration/i,
    "A control file that is needed cannot be read: exit code 55.",
    ["control/me is missing or not readable"],
    ["ls -l control", "qmailctl install --dry-run"],
  ),
  row(
    /network connection|connection to mail server (?:timed out|rejected)/i,
    "Another mail server, to which everything is handed (QMQP), was not reached.",
    ["control/qmqpservers names a host that is down"],
    ["cat control/qmqpservers"],
  ),
  row(
    /qq internal bug/i,
    "qmail-queue was given an envelope that it does not understand: exit codes 81 and 91.",
    ["a filter or program that writes a wrong envelope"],
    ["run the program by hand"],
  ),
  row(
    /envelope address too long/i,
    "An address is longer than qmail-queue takes: exit code 11.",
    ["a broken program or VERP in a loop"],
    ["look at the sender's program"],
  ),
  row(
    /home directory is sticky/i,
    "Deliveries to this user wait: the sticky bit of the home is set.",
    [
      "the user is editing .qmail, as dot-qmail(5) advises",
      "somebody has forgotten to take it away",
    ],
    ["chmod -t ~USER"],
  ),
  row(
    /is writable\.|has (?:prog|file|x bit)|x bit set/i,
    "A home directory or .qmail file is not trusted: others can write it, or its x bit forbids this delivery.",
    ["modes too wide (umask 002)"],
    ["chmod go-w ~USER ~USER/.qmail*"],
  ),
  row(
    /first line of \.qmail file is blank/i,
    "A .qmail file that begins with an empty line is taken for a mistake.",
    ["an editor left an empty line"],
    ["edit the file; an empty file means the default delivery"],
  ),
  row(
    /maildir delivery|chdir to maildir/i,
    "The Maildir cannot be written.",
    ["it is not there: new users have none", "it belongs to somebody else", "quota or disk full"],
    ["ls -ld ~USER/Maildir/{new,tmp,cur}", "maildirmake ~USER/Maildir, as the user"],
  ),
  row(
    /File is locked, and the mail system is being stopped/i,
    "Another program holds the mbox, and at a stop nobody waits for it. The delivery is tried again at the next start.",
    ["qmailctl stop or restart while a mail reader was at work"],
    ["fuser ~USER/Mailbox", "qmailctl start, when it is to run"],
  ),
  row(
    /locked for 30 seconds|Unable to lock/i,
    "Another program holds the mbox.",
    ["a mail reader or a hanging procmail", "NFS without locks"],
    ["fuser ~USER/Mailbox"],
  ),
  row(
    /invalid argument/i,
    "The file in the delivery's line takes no such call: it is a device or a FIFO, which cannot be cut off or synced as an mbox is.",
    ["/dev/null, or another device, stands where an mbox should"],
    [
      "ls -l of what the line names",
      "to throw mail away: a .qmail file with nothing but a comment in it",
    ],
  ),
  row(
    /^(?:warning: )?(?:trouble reading|unable to open|unable to stat|unknown record type in) (?:more in )?(?:todo|mess|info|local|remote|bounce)\b|lock\/trigger is no FIFO/i,
    "Something lies in the queue that is no file of a message, or one that qmail-send cannot read. It is passed over; other mail goes on.",
    [
      "the queue of a qmail with the big-todo patch, which has directories in todo",
      "a queue that was copied, or touched by hand",
    ],
    ["qmailctl queue check", "qmailctl queue repair, after qmailctl stop"],
  ),
  row(
    /Unable to (?:rewind|open|write|read|switch|create|copy|run|chdir|fork|forward|stat|find)/i,
    "A system call failed in a delivery; the text says which.",
    ["wrong owner or mode", "disk full or quota", "a file system that is not mounted"],
    ["try it as that user: sudo -u USER", "df -h"],
  ),
  row(
    /mail exchangers that are better than me/i,
    "Of the domain's mail exchangers only this machine was found; about the others the name servers could not say.",
    ["a name server of the domain does not answer for all of them"],
    ["dig MX DOMAIN", "qmailctl flush when it is mended"],
  ),
  row(
    /Too many deliveries of this user are under way/i,
    "One user has more deliveries under way than may wait for him; the rest is tried again.",
    ["programs in his .qmail files that take long", "a lock on his mailbox"],
    ["qmailctl queue list", "qmailctl top"],
  ),
  row(
    /The mail system is being stopped/i,
    "The delivery had not begun when the mail system was stopped; the next start tries it.",
    ["qmailctl stop or restart"],
    ["qmailctl status"],
  ),
  row(
    /wrong (?:type|owner)|message is another one|messid has nonnumerics|report mangled|invoked improperly|unable to open message/i,
    "The queue or the link between the daemons is not as it must be.",
    ["the queue was touched by hand or restored from a copy"],
    ["stop, then restore owners: qmailctl install", "qmailctl queue list"],
  ),
  row(
    /crashed|Internal trouble|internal (?:error|bug)|lspawn bug|aack, child crashed/i,
    "A delivery's process ended in a way it never should.",
    ["a memory limit", "a bug: please report it"],
    ["the log around that time: qmailctl log", "dmesg, for the OOM killer"],
  ),
  row(
    /Temporary failure in|Trouble reading|NFS failure/i,
    "The program could not do its part for now.",
    ["the process table or descriptors are full", "a user data base that does not answer"],
    ["ulimit -a", "getent passwd USER"],
  ),
  row(
    /perform deliveries as root/i,
    "An assignment gives the address to root, and qmail never delivers as root.",
    ["users/assign names uid 0"],
    ["cat users/assign", "forward root's mail: ~alias/.qmail-root"],
  ),
  row(
    /Unable to find alias user/i,
    "There is no user alias.",
    ["accounts were not made or were removed"],
    ["getent passwd alias", "qmailctl install"],
  ),
  row(
    /been in the queue too long|not going to try again/i,
    "The message was tried for control/queuelifetime (a week) and now bounces.",
    ["the destination was down all that time"],
    ["cat control/queuelifetime"],
  ),
  row(
    /isn't in my list of allowed rcpthosts/i,
    "The client may not relay: the domain is not in rcpthosts.",
    [
      "a user who did not log in",
      "a domain that is missing in rcpthosts",
      "somebody tries to abuse this host",
    ],
    ["cat control/rcpthosts"],
  ),
  row(
    /badmailfrom list/i,
    "The sender is in control/badmailfrom.",
    ["as configured"],
    ["cat control/badmailfrom"],
  ),
  row(
    /exceeds my databytes limit/i,
    "The message is larger than control/databytes.",
    ["as configured"],
    ["cat control/databytes"],
  ),
  row(
    /too many connections/i,
    "More clients at once than the service takes.",
    ["a burst, or one client that opens many", "slow DNS keeps sessions open"],
    ["qmailctl log report clients"],
  ),
  row(
    /unable to append to bounce message|HELP! sleeping/i,
    "qmail-send cannot record a failure and waits ten seconds.",
    ["the disk is full"],
    QUEUE_SPACE,
  ),
  row(
    /oh no! lost/i,
    "One of qmail-send's partners died; it ends too, and the supervisor starts all again.",
    ["the partner was killed", "out of memory"],
    ["dmesg", "qmailctl status"],
  ),
  row(
    /cannot start/i,
    "qmail-send could not begin; the text says why.",
    ["another one runs already", "a control file is missing"],
    ["qmailctl status", "ls -l control/me"],
  ),
  row(
    /triple bounce/i,
    "A double bounce could not be delivered either and was thrown away.",
    ["control/doublebounceto leads nowhere"],
    ["cat control/doublebounceto control/doublebouncehost"],
  ),
  row(
    /^bounce msg/,
    "Some recipients failed: a notice went to the sender as message qp.",
    ["see the failures before it"],
    ["qmailctl log trace MESSAGE"],
  ),
  row(
    /^warning:/i,
    "Something went wrong that qmail-send will try again.",
    ["disk, descriptors or owners in the queue"],
    QUEUE_SPACE,
  ),
];

/** Enhanced status codes (RFC 3463): the second and third number. */
export const CODES: Readonly<Record<string, string>> = {
  "0.0": "other, undefined",
  "1.0": "trouble with the address",
  "1.1": "no such mailbox",
  "1.2": "no such host",
  "1.3": "the address is not well formed",
  "1.5": "the address is valid",
  "1.6": "the mailbox has moved",
  "1.7": "the sender's address is not well formed",
  "1.8": "the sender's host does not exist",
  "1.10": "the domain takes no mail (null MX)",
  "2.0": "trouble with the mailbox",
  "2.1": "the mailbox is disabled or cannot be used",
  "2.2": "the mailbox is full",
  "2.3": "the message is too long for the mailbox",
  "2.4": "a mailing list could not be expanded",
  "3.0": "trouble with the mail system",
  "3.1": "the mail system is full",
  "3.2": "the system takes no messages now",
  "3.4": "the message is too big",
  "3.5": "the system is configured wrongly",
  "4.0": "trouble in the network or in routing",
  "4.1": "the host does not answer",
  "4.2": "the connection broke",
  "4.3": "a directory server (DNS) failed",
  "4.4": "no route",
  "4.5": "congestion",
  "4.6": "a loop",
  "4.7": "it took too long",
  "5.0": "trouble with the protocol",
  "5.1": "a command out of place or unknown",
  "5.2": "a syntax error",
  "5.3": "too many recipients",
  "5.4": "wrong arguments of a command",
  "6.0": "trouble with the content",
  "6.3": "the content needs a conversion that there is not",
  "6.7": "addresses outside ASCII are not supported",
  "7.0": "a security rule",
  "7.1": "not allowed: policy",
  "7.5": "encryption failed",
  "7.8": "login failed",
  "7.9": "login too weak",
};

/** The first number of a code, or of an SMTP reply. */
export const CLASSES: Readonly<Record<string, string>> = {
  "2": "success",
  "4": "for now: it is tried again",
  "5": "for good: it bounces",
};

/** Exit codes of programs of the family. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "done; for a program in .qmail: delivered",
  11: "qmail-queue: an address is too long",
  31: "qmail-queue: the message is refused for good",
  51: "qmail-queue: out of memory",
  52: "qmail-queue: timeout",
  53: "qmail-queue: write error, perhaps the disk is full",
  54: "qmail-queue: read error",
  55: "qmail-queue: a configuration file cannot be read",
  56: "qmail-queue: trouble with a network connection",
  61: "qmail-queue: trouble in the home directory",
  62: "qmail-queue: trouble with the queue directory",
  63: "qmail-queue: trouble with queue/pid",
  64: "qmail-queue: trouble with queue/mess",
  65: "qmail-queue: trouble with queue/intd",
  66: "qmail-queue: trouble with queue/todo",
  71: "qmail-queue: the server refused the message for now",
  72: "qmail-queue: the connection timed out",
  73: "qmail-queue: the connection was refused",
  74: "qmail-queue: the conversation failed",
  81: "qmail-queue: internal bug",
  82: "qmail-queue: the filter gave its own text",
  91: "qmail-queue: the envelope is in a wrong form",
  99: "a program in .qmail: delivered, and the lines behind it are not looked at",
  100: "failed for good; wrong usage, when a person started it",
  101: "this cannot happen: a bug",
  111: "failed for now: try again",
  120: "qmail-queue could not be run",
};
