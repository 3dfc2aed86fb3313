import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { generate } from "../../../bench/generate-log.ts";
import { LogReader } from "../../../commands/log/analysis/read.ts";
import { Statistics } from "../../../commands/log/analysis/statistics.ts";
import { page } from "../../../commands/log/report/html.ts";
import { makeTable } from "../../../commands/log/report/tables.ts";
import { lacks } from "../../site/_site.ts";

function makePage(): string {
  const statistics = new Statistics();
  const reader = new LogReader(statistics, Date.now());
  generate(500, (text) => reader.push(Buffer.from(text, "latin1")));
  // A name that would end the script and begin another.
  const evil = "</script><script>document.title='broken'</script>";
  reader.push(
    Buffer.from(
      `1788220800.0 info msg 1: bytes 5 from <${evil}> qp 1 uid 1\n1788220801.0 end msg 1\n`,
    ),
  );
  reader.cut();
  const names = ["senders", "rhosts", "ddist"];
  const tables = names.map((name) => makeTable(name, statistics, 1000));
  return page(statistics, tables, "all 500 lines");
}

/** What the lines of the time axis say where the page's script runs, without a browser. */
function ticksOf(html: string, ticks: readonly number[]): string[] {
  const element = (): unknown => ({
    append() {},
    replaceChildren() {},
    style: { setProperty() {} },
    clientWidth: 800,
  });
  const data = /<script type="application\/json" id="data">(.*)<\/script>/.exec(html)?.[1];
  const axes: { values?: (plot: null, ticks: readonly number[]) => string[] }[] = [];
  const world = {
    document: {
      getElementById: (id: string) => (id === "data" ? { textContent: data } : element()),
      createElement: element,
      documentElement: null,
    },
    getComputedStyle: () => ({ getPropertyValue: () => "" }),
    addEventListener() {},
    matchMedia: () => ({ addEventListener() {} }),
    uPlot: class {
      constructor(options: { axes: typeof axes }) {
        axes.push(...options.axes);
      }
    },
  };
  const script = html.slice(html.lastIndexOf("<script>") + 8, html.lastIndexOf("</script>"));
  runInNewContext(script, world);
  return Array.from(axes[0]?.values?.(null, ticks) ?? []);
}

for (const [step, why] of [
  [0.25, "a few seconds"],
  [10, "a minute or two"],
  [60, "minutes"],
  [21_600, "days"],
  [86_400, "weeks"],
] as const) {
  test(`the lines of the time axis say each another time: ${why}`, () => {
    // From before midnight, wherever we are.
    const midnight = new Date(2026, 10, 24).getTime() / 1000;
    const ticks = Array.from({ length: 4 }, (_, at) => midnight + (at - 1) * step);
    const said = ticksOf(makePage(), ticks);
    assert.equal(new Set(said).size, ticks.length, said.join(" | "));
  });
}

test("the page needs nothing from elsewhere", () => {
  assert.doesNotMatch(makePage(), /(?:src|href)=["']?(?:https?:|\/)/);
});

test("in a browser: plots, the week, tables, and no script from the log", {
  skip: lacks("chromium"),
}, () => {
  const directory = mkdtempSync(join(tmpdir(), "qmailctl-page-"));
  try {
    const path = join(directory, "report.html");
    writeFileSync(path, makePage());
    const args = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      `--user-data-dir=${directory}/profile`,
    ];
    const { stdout } = spawnSync(
      "chromium",
      [...args, "--virtual-time-budget=3000", "--dump-dom", `file://${path}`],
      {
        encoding: "utf8",
        timeout: 120_000,
      },
    );
    assert.match(stdout, /<title>Mail report<\/title>/);
    assert.equal(stdout.match(/<canvas/g)?.length, 4);
    assert.equal(stdout.match(/--share:/g)?.length, 7 * 24);
    assert.match(stdout, /<h2>Senders/);
    assert.match(stdout, /&lt;\/script&gt;&lt;script&gt;/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
