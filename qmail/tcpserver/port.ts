/** Ports by number and by name (services(5)). */

import { readFileSync } from "node:fs";

/** The port of `text`, a number or a name of services(5); null: it is neither. */
export function portNumber(text: string, services = "/etc/services"): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  try {
    for (const line of readFileSync(services, "latin1").split("\n")) {
      const [name, port, ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
      const [number, protocol] = (port ?? "").split("/");
      if (protocol === "tcp" && [name, ...aliases].includes(text)) return Number(number);
    }
  } catch {
    // No such list: no such name.
  }
  return null;
}
