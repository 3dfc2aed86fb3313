import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
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
  return page(
    statistics,
    names.map((name) => makeTable(name, statistics, 1000)),
  );
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
