/** Reports as a person reads them, and as groups: what differs each time is left out. */

/** Addresses of hosts, addresses of mail, numbers and queue ids of others. */
const VARYING = [
  /\d{1,3}(?:\.\d{1,3}){3}/g,
  /\[?(?=[0-9a-f:]*:[0-9a-f]*:)[0-9a-f:]{4,39}\]?/gi,
  /<[^>]*>/g,
  /[^\s<>@:;,()]+@[^\s<>@:;,()]+/g,
  /\b(?=\w*\d)\w{7,}\b/g,
  /\b\d{4,}\b/g,
];
/** What comes behind tells no more groups apart. */
const GROUP_MAX = 200;
/** So much of an example is kept. */
const REPORT_MAX = 1000;

/** A report of qmail-send's log, where blanks are underscores and newlines slashes. */
export function readable(report: string): string {
  return report
    .slice(0, REPORT_MAX)
    .replaceAll("_", " ")
    .replace(/[/ ]+$/, "");
}

/** What matters of a readable text: the words of the other host, where it said some. */
export function gist(text: string): string {
  const said = /Remote host said: (.+)$/.exec(text)?.[1];
  return said?.replace(/\/Giving up on .*/, "") ?? text;
}

/** The group that a readable text belongs to. */
export function groupOf(text: string): string {
  return VARYING.reduce((group, pattern) => group.replace(pattern, "*"), text.slice(0, GROUP_MAX));
}
