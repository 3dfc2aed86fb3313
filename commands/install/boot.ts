/** Step 5: the boot scripts, the chosen one as rc, and the services that the supervisor runs. */

import { BOOT_SCRIPTS } from "../boot-scripts.ts";
import type { Config } from "../config.ts";
import { doorArguments, serviceNames } from "./services.ts";
import {
  absentRow,
  type FileRow,
  fileRow,
  type InstallContext,
  type Row,
  type Step,
} from "./step.ts";
import { shellQuote, template } from "./templates.ts";
import { hierRow } from "./users.ts";

export const boot: Step = {
  title: "boot scripts and services",
  rows(context) {
    const { config, home } = context;
    const QMAIL = home;
    const files: FileRow[] = BOOT_SCRIPTS.map((name) => {
      return { name: `boot/${name}`, mode: 0o755, content: template(`boot/${name}`, { QMAIL }) };
    });
    files.push({ name: "rc", mode: 0o755, content: rc(config) });
    files.push(...service("qmail-send", template("service/qmail-send", { QMAIL })));
    const doors = doorArguments(config);
    for (const [name, args] of Object.entries(doors)) {
      if (args === null) continue;
      files.push(...service(name, template(`service/${name}`, { QMAIL, ARGUMENTS: args })));
    }
    const rows: Row[] = serviceDirectories(context);
    rows.push(...files.map((file) => fileRow(context, file)));
    for (const [name, args] of Object.entries(doors)) {
      if (args === null)
        rows.push(
          absentRow(context, `service/${name}/run`, "(the service is not in the config file)"),
        );
    }
    return rows;
  },
};

function rc(config: Config): string {
  const { defaultDelivery, home } = config;
  if (BOOT_SCRIPTS.includes(defaultDelivery)) {
    return template(`boot/${defaultDelivery}`, { QMAIL: home });
  }
  return template("rc", { QMAIL: home, DELIVERY: shellQuote(defaultDelivery) });
}

/** A service whose daemon says when it is ready. */
function service(name: string, run: string): FileRow[] {
  return [
    { name: `service/${name}/run`, mode: 0o755, content: run },
    { name: `service/${name}/notification-fd`, mode: 0o644, content: "0\n" },
  ];
}

function serviceDirectories(context: InstallContext): Row[] {
  return serviceNames(context.config).map((name) =>
    hierRow(context, {
      path: `service/${name}`,
      type: "directory",
      owner: "root",
      group: "qmail",
      mode: 0o755,
    }),
  );
}
