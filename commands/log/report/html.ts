/** The report as one page: plots by uPlot, which is inside it, so that it works from a file and offline. */

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { bucketDelay } from "../analysis/series.ts";
import type { Statistics } from "../analysis/statistics.ts";
import { overall, type Table } from "./tables.ts";

const require = createRequire(import.meta.url);
/** Sources lie three levels below package.json, compiled files four. */
const TEMPLATE = ["../../../templates/log/report.html", "../../../../templates/log/report.html"];

/** The page's HTML; `understood` says how many lines of the log are in it. */
export function page(statistics: Statistics, tables: readonly Table[], understood: string): string {
  const plot = require.resolve("uplot/dist/uPlot.iife.min.js");
  const parts: Readonly<Record<string, string>> = {
    "/* UPLOT_STYLE */": readFileSync(plot.replace("uPlot.iife.min.js", "uPlot.min.css"), "utf8"),
    "/* UPLOT_SCRIPT */": readFileSync(plot, "utf8").replaceAll("</script", "<\\/script"),
    '"REPORT_DATA"': JSON.stringify({ ...pageData(statistics, tables), understood }).replaceAll(
      "<",
      "\\u003c",
    ),
  };
  return template().replace(/\/\* UPLOT_\w+ \*\/|"REPORT_DATA"/g, (word) => parts[word] as string);
}

function template(): string {
  const urls = TEMPLATE.map((path) => new URL(path, import.meta.url));
  return readFileSync(urls.find((url) => existsSync(url)) ?? (urls[0] as URL), "utf8");
}

/** What the page's script plots. */
export function pageData(statistics: Statistics, tables: readonly Table[]) {
  const list = statistics.series.list();
  const of = (value: (bucket: (typeof list)[number]["bucket"]) => number | null) =>
    list.map(({ bucket }) => value(bucket));
  return {
    from: statistics.first,
    to: statistics.last,
    width: statistics.series.width / 1000,
    overall: overall(statistics),
    times: list.map(({ ms }) => ms / 1000),
    success: of(({ success }) => success),
    deferral: of(({ deferral }) => deferral),
    failure: of(({ failure }) => failure),
    accepted: of(({ accepted }) => accepted),
    refused: of(({ refused }) => refused),
    queue: carried(of(({ queue }) => queue)),
    local: of(({ local }) => local),
    remote: of(({ remote }) => remote),
    remoteMax: Math.max(0, ...list.map(({ bucket }) => bucket.remoteMax)),
    localMax: Math.max(0, ...list.map(({ bucket }) => bucket.localMax)),
    median: of((bucket) => bucketDelay(bucket, 50)),
    slow: of((bucket) => bucketDelay(bucket, 95)),
    week: statistics.week.counts,
    tables: tables.filter(({ rows }) => rows.length > 0),
  };
}

/** Where nothing happened the queue stayed as it was. */
function carried(values: readonly (number | null)[]): number[] {
  let last = 0;
  return values.map((value) => {
    if (value) last = value;
    return last;
  });
}
