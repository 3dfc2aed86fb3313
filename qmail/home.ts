/** Where the installation is, for a program: its launcher in $QMAIL/bin sets QMAILHOME. */

/** The qmail home that this program belongs to; /var/qmail when it was started without its launcher. */
export function qmailHome(env: NodeJS.ProcessEnv = process.env): string {
  return env.QMAILHOME || "/var/qmail";
}
