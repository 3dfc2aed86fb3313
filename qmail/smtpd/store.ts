/** Where the SMTP services look passwords up: the site's own logins, or any checkpassword program. */

import { Logins } from "../checkpassword/logins.ts";
import type { PasswordStore } from "./auth.ts";
import { checkProgram, programStore } from "./program-store.ts";

export interface StoreOptions {
  /** A checkpassword program with its arguments; null: the site's logins and the system's users. */
  readonly command: readonly string[] | null;
  /**
   * CRAM-MD5 is offered, and SCRAM-SHA-256. Clients take the strongest that is offered and nothing else, so
   * these are for sites where everybody has what it needs.
   */
  readonly cram: boolean;
  readonly scram: boolean;
}

/** The store that `options` name, of the installation in `home`. */
export function openStore(
  { command, cram, scram }: StoreOptions,
  { home, warn }: { home: string; warn(text: string): void },
): PasswordStore {
  if (command) return programStore(checkProgram({ command, warn }), { cram });
  const logins = new Logins(home);
  const said = <T>(error: Error): T => {
    warn(`cannot check a login: ${error.message}`);
    throw error;
  };
  return {
    async check(login, password) {
      const asked = { login, password, timestamp: "" };
      return (await logins.check(asked).catch(said<never>)).status;
    },
    ...(cram ? { checkCram: async (login, answer) => logins.checkCram(login, answer) } : {}),
    ...(scram ? { scramKeys: async (login) => logins.scramKeys(login) } : {}),
  } satisfies PasswordStore;
}
