/**
 * Where the lines come from: the services of an installation, directories of multilog, files rotated
 * and compressed, standard input, the journal. Everything is a stream of bytes, oldest first.
 */

import { createReadStream, readdirSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { execa } from "execa";
import { formatTai64n } from "../../qmail/multilog/tai64n.ts";
import { CommandError, UsageError } from "../output.ts";
import { loggedServices, multilogFiles } from "./files.ts";

export interface SourceOptions {
  readonly home: string;
  /** Files, directories, "-" for standard input; none: the logs of `home`. */
  readonly files: readonly string[];
  /** A unit or identifier of the systemd journal. */
  readonly journal?: string;
  /** Only this service of `home`. */
  readonly service?: string;
}

export interface Source {
  readonly name: string;
  /** Its bytes; a piece is gone when the next is asked for. */
  open(): AsyncIterable<Buffer>;
}

/** What is unpacked at once: much, for fewer turns of the event loop. */
const CHUNK = 1 << 20;
/** What is read at once: it is to be in the processor's cache still when it is looked at. */
const READ = 1 << 18;
/** Programs that unpack what Node cannot. */
const UNPACKERS: Readonly<Record<string, string>> = { xz: "xz", bz2: "bzip2", lz4: "lz4" };

/** The sources that `options` name, in the order to read them in. */
export function findSources(options: SourceOptions): Source[] {
  const { home, files, journal, service } = options;
  if (journal !== undefined)
    return [{ name: `journal ${journal}`, open: () => readJournal(journal) }];
  if (files.length > 0) return files.flatMap(named);
  return homeServices(home, service).flatMap((name) =>
    directorySources(`${home}/log/${name}`, name),
  );
}

/** The services of `home` that are meant. Throws when there are no logs. */
export function homeServices(home: string, service: string | undefined): string[] {
  try {
    const known = loggedServices(home);
    if (service === undefined) return known;
    if (known.includes(service)) return [service];
    throw new UsageError(`there is no service "${service}"`, [`there is: ${known.join(", ")}`]);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`cannot read the log: ${(error as Error).message}`, {
      hints: [
        "name files or directories: --file /var/log/mail.log",
        "or give the qmail home: --home DIR",
      ],
    });
  }
}

function named(path: string): Source[] {
  if (path === "-") return [{ name: "standard input", open: () => process.stdin }];
  try {
    if (statSync(path).isDirectory()) return directorySources(path, basename(path));
  } catch (error) {
    throw new CommandError(`cannot read "${path}": ${(error as Error).message}`);
  }
  return rotated(path).map((file) => fileSource(file, file));
}

/** A log directory of multilog's; or, when it has none, the log directories and files in it. */
function directorySources(path: string, name: string): Source[] {
  const files = multilogFiles(path);
  if (files.length > 0) return files.map((file) => fileSource(join(path, file), name));
  return readdirSync(path)
    .filter((file) => !file.startsWith("."))
    .sort()
    .flatMap((file) =>
      statSync(join(path, file)).isDirectory() ? directorySources(join(path, file), file) : [],
    );
}

/** `path` after what logrotate has made of it before: mail.log.3.gz, mail.log.2, mail.log.1. */
export function rotated(path: string): string[] {
  const directory = join(path, "..");
  const base = basename(path);
  if (/\.\d+(\.\w+)?$/.test(base)) return [path];
  const found = readdirSync(directory).flatMap((name) => {
    const [, number] = name.startsWith(`${base}.`)
      ? (/^\.(\d{1,4})(?:\.(?:gz|xz|bz2|zst))?$/.exec(name.slice(base.length)) ?? [])
      : [];
    return number === undefined ? [] : [{ number: Number(number), file: join(directory, name) }];
  });
  found.sort((a, b) => b.number - a.number);
  return [...found.map(({ file }) => file), path];
}

function fileSource(path: string, name: string): Source {
  return { name, open: () => openFile(path) };
}

function openFile(path: string): AsyncIterable<Buffer> {
  const type = /\.(gz|zst|xz|bz2|lz4)$/.exec(path)?.[1];
  if (type === undefined) return plain(path);
  if (type === "gz") return inflated(createGunzip({ chunkSize: CHUNK }), path);
  if (type === "zst") return inflated(createZstdDecompress({ chunkSize: CHUNK }), path);
  const program = UNPACKERS[type] as string;
  return unpacked(program, path);
}

async function* plain(path: string): AsyncGenerator<Buffer> {
  const file = await open(path).catch((error: Error) => {
    throw new CommandError(`cannot read "${path}": ${error.message}`);
  });
  const buffer = Buffer.allocUnsafeSlow(READ);
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, READ);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function* inflated(unpacker: Transform, path: string): AsyncGenerator<Buffer> {
  const input = createReadStream(path, { highWaterMark: CHUNK });
  input.on("error", (error) => unpacker.destroy(error));
  try {
    yield* input.pipe(unpacker);
  } catch (error) {
    throw new CommandError(`cannot unpack "${path}": ${(error as Error).message}`);
  }
}

async function* unpacked(program: string, path: string): AsyncGenerator<Buffer> {
  try {
    const child = execa(program, ["-dc", path], { encoding: "buffer", buffer: false });
    for await (const chunk of child.iterable({ binary: true, preserveNewlines: true })) {
      yield Buffer.from(chunk as Uint8Array);
    }
    await child;
  } catch (error) {
    throw new CommandError(`cannot unpack "${path}": ${(error as Error).message}`, {
      hints: [`is "${program}" installed?`],
    });
  }
}

/** A unit's lines, or an identifier's (what splogger is started with), with their time before them. */
async function* readJournal(unit: string): AsyncGenerator<Buffer> {
  try {
    const child = execa("journalctl", journalArguments(unit), { buffer: false });
    for await (const line of child) yield Buffer.from(journalLine(line), "latin1");
  } catch (error) {
    throw new CommandError(`cannot read the journal: ${(error as Error).message}`);
  }
}

/** How journalctl is asked for a unit's entries, or an identifier's. */
export function journalArguments(unit: string): string[] {
  const by = unit.includes(".") ? ["--unit", unit] : ["--identifier", unit];
  return ["--output=json", "--no-pager", "--quiet", ...by];
}

/** One entry of `journalctl -o json` as a line of multilog's; empty when it has no text. */
export function journalLine(json: string): string {
  const entry = JSON.parse(json) as Record<string, unknown>;
  const { MESSAGE: message, __REALTIME_TIMESTAMP: time } = entry;
  // Text that is no UTF-8 comes as an array of bytes.
  const text = Array.isArray(message)
    ? Buffer.from(message as number[]).toString("latin1")
    : Buffer.from(String(message ?? "")).toString("latin1");
  if (text === "" || time === undefined) return "";
  return `${formatTai64n(Number(time) / 1000)} ${text.replaceAll("\n", "/")}\n`;
}
