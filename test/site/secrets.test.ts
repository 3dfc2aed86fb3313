/** What install does with passwords, and with what the config does not name any more. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Config } from "../../commands/config.ts";
import { controls } from "../../commands/install/controls.ts";
import { InstallContext } from "../../commands/install/step.ts";
import { SECRETS } from "../../qmail/hier.ts";
import type { Ids } from "../../qmail/ids.ts";
import { SECRET_FILES } from "../../qmail/showctl/control-files.ts";
import { ForeignHome, IDS, NEEDS_ROOT } from "./_foreign.ts";
import { makeSite, qmailctl, type Site } from "./_site.ts";

const PASSWORD = "correct-horse-battery";

/** The files of the site that others may read and that hold `text`. */
function openWith(site: Site, text: string): string[] {
  return readdirSync(site.home, { recursive: true, encoding: "utf8" }).filter((name) => {
    const path = join(site.home, name);
    const stat = lstatSync(path);
    return stat.isFile() && (stat.mode & 0o077) !== 0 && readFileSync(path, "utf8").includes(text);
  });
}

/** Takes `fields` out of the site's config. */
function drop(site: Site, ...fields: readonly string[]): void {
  const text = readFileSync(site.config, "utf8");
  const start = text.indexOf("defineConfig({") + "defineConfig(".length;
  const config = JSON.parse(text.slice(start, text.lastIndexOf(")")));
  for (const field of fields) delete config[field];
  writeFileSync(site.config, `${text.slice(0, start)}${JSON.stringify(config)});\n`);
}

const control = { remoteauth: [`relay:joe:${PASSWORD}`], databytes: "1000000" };

test("a password of the config is in no file that others may read, and is not shown", async () => {
  await using site = await makeSite({ control });
  await site.ok("install");
  assert.deepEqual(openWith(site, PASSWORD), []);
  assert.equal(
    readFileSync(join(site.home, "control/remoteauth"), "utf8"),
    `${control.remoteauth}\n`,
  );
  assert.equal(JSON.parse(await site.ok("install", "--json")).changed, false);

  const path = join(site.home, "control/remoteauth");
  writeFileSync(path, "relay:joe:another-secret\n");
  const text = await site.ok("install");
  assert.match(text, /control\/remoteauth\n.*a secret/);
  assert.doesNotMatch(text + (await site.ok("install", "--json")), /correct-horse|another-secret/);
});

test("secrets that are open, written by hand or by an earlier install, are closed", async () => {
  await using site = await makeSite({ control });
  await site.ok("install");
  const paths = SECRETS.map(({ path }) => join(site.home, path));
  for (const path of paths) {
    if (!existsSync(path)) writeFileSync(path, "by hand\n");
    chmodSync(path, 0o644);
  }
  assert.equal(JSON.parse(await site.ok("install", "--json")).changed, true);
  for (const { path, mode } of SECRETS) {
    assert.equal(statSync(join(site.home, path)).mode & 0o7777, mode, path);
  }
  assert.equal(readFileSync(join(site.home, "users/password"), "utf8"), "by hand\n");
});

test("each secret belongs to who needs it", { skip: NEEDS_ROOT }, async () => {
  using home = new ForeignHome();
  class Context extends InstallContext {
    override ids(): Ids {
      return IDS;
    }
  }
  const srsDomain = "srs.mail.test";
  const rest = {
    routes: {},
    locals: null,
    rcpthosts: null,
    smtp: null,
    hubs: null,
    srsDomain,
    input: {},
  };
  const config = {
    ...rest,
    home: home.home,
    host: "mail.test",
    sandbox: false,
    control: { remoteauth: control.remoteauth },
  };
  const context = new Context(config as unknown as Config, false);
  writeFileSync(home.path("users/password"), "joe:x\n", { mode: 0o644 });
  chownSync(home.path("users/password"), 64_000, 64_000);
  for (const row of await controls.rows(context)) if (row.inspect() !== null) await row.apply();
  context.save();
  for (const { path, owner, group, mode } of SECRETS) {
    const stat = statSync(home.path(path));
    const uid = owner === "root" ? 0 : IDS.uid[owner];
    assert.deepEqual(
      [path, stat.uid, stat.gid, stat.mode & 0o7777],
      [path, uid, IDS.gid[group], mode],
    );
  }
});

test("the table of secrets knows all that qmail-showctl does not show", () => {
  const known = SECRETS.map(({ path }) => path);
  for (const name of Object.keys(SECRET_FILES)) assert.ok(known.includes(`control/${name}`), name);
});

test("what install wrote goes when the config names it no more; what a person wrote stays", async () => {
  const rules = { smtp: { listen: "127.0.0.1:0", rules: ["10.:deny"] } };
  const assign = ["=joe:joe:1000:1000:/tmp:::"];
  await using site = await makeSite({
    control: { ...control, helohost: "helo.test" },
    assign,
    services: rules,
    aliases: { sales: "joe", help: "joe" },
  });
  await site.ok("install");
  const there = (name: string) => existsSync(join(site.home, name));
  const written = [
    "control/remoteauth",
    "control/databytes",
    "control/tcp.smtp",
    "control/tcp.smtp.cdb",
  ];
  const assigned = ["users/assign", "users/cdb"];
  for (const name of [...written, ...assigned, "alias/.qmail-sales"]) assert.ok(there(name), name);
  writeFileSync(join(site.home, "control/helohost"), "by.hand\n");
  writeFileSync(join(site.home, "alias/.qmail-help"), "ann\n");
  writeFileSync(join(site.home, "control/badmailfrom"), "@spam.test\n");

  drop(site, "control", "assign", "aliases", "services");
  assert.match(
    await site.ok("install", "--dry-run"),
    /control\/tcp.smtp, control\/remoteauth, control\/tcp.smtp.cdb: not wanted any more/,
  );
  assert.ok(there("control/remoteauth"));
  const text = await site.ok("install");
  // Without a word about it there is the limit that every config has.
  const gone = written.filter((name) => name !== "control/databytes");
  for (const name of [...gone, ...assigned, "alias/.qmail-sales"]) assert.ok(!there(name), name);
  for (const name of [
    "control/helohost",
    "alias/.qmail-help",
    "control/badmailfrom",
    "control/me",
    "control/rcpthosts",
  ]) {
    assert.ok(there(name), name);
  }
  assert.match(text, /control\/helohost\n.*not in the config file any more/);
  assert.equal(JSON.parse(await site.ok("install", "--json")).changed, false);
  await site.ok("install", "--force");
  assert.ok(
    !there("control/helohost") && !there("alias/.qmail-help") && there("control/badmailfrom"),
  );
});

test("without config file install keeps what the last one wrote, passwords too", async () => {
  await using site = await makeSite({ control });
  await site.ok("install");
  const args = ["install", "--home", site.home, "--json"];
  const { code, stdout } = await qmailctl(args, { cwd: "/" });
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).changed, false);
  assert.ok(existsSync(join(site.home, "control/remoteauth")));
});
