/** From a report of qmail-remote to the line in the log. */

import { Deliveries } from "../../../qmail/send/delivery.ts";

/** What qmail-send says in its log of a delivery with this report. */
export function logged(report: string): string {
  const lines: string[] = [];
  const deliveries = new Deliveries((line) => lines.push(line), Date.now);
  const order = {
    id: "1",
    made: 1,
    sender: "",
    recipient: "you@far.test",
    dying: false,
    done() {},
  };
  deliveries.start("remote", order);
  deliveries.report("remote", 0, report);
  return lines.find((line) => line.startsWith("delivery ")) ?? "";
}
