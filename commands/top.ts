/** `qmailctl top`: what the mail server is doing, live. */

import { CommandError, type Output } from "./output.ts";
import { checkQueue } from "./queue/select.ts";
import { actOn } from "./top/act.ts";
import type { ActionName } from "./top/actions.ts";
import { toJson } from "./top/json.ts";
import { pageOf } from "./top/message-page.ts";
import { noScreen, Screen, type Terminal } from "./top/screen.ts";
import type { Snapshot } from "./top/snapshot.ts";
import type { Row } from "./top/table.ts";
import { type Command, newUi, press, type Ui } from "./top/ui.ts";
import { type Picture, plainView, view } from "./top/view.ts";
import { Watch } from "./top/watch.ts";

export interface TopOptions {
  readonly home: string;
  /** Show it once and end. */
  readonly once: boolean;
  /** Milliseconds between two looks. */
  readonly interval: number;
  /** Logs; none: those of `home`. */
  readonly files: readonly string[];
  readonly output: Output;
}

/** Rows of each table that --once shows. */
const ONCE_ROWS = 10;

/** Shows what the mail server in `home` is doing, until the user has seen enough. */
export async function top(options: TopOptions): Promise<void> {
  const { home, files, once, output } = options;
  const terminal: Terminal = { input: process.stdin, output: process.stdout };
  const why = once ? null : noScreen(terminal, process.env.TERM);
  if (why !== null) {
    throw new CommandError(`top needs a terminal: ${why}`, {
      hints: ["one look as text: qmailctl top --once", "for a script: qmailctl top --once --json"],
    });
  }
  if (!once && output.json) {
    throw new CommandError("top has no end that one document could have", {
      hints: ["one look: qmailctl top --once --json", "line by line: qmailctl queue watch --json"],
    });
  }
  if (files.length === 0) checkQueue(home);
  const watch = new Watch(home, files);
  try {
    await watch.look(true);
    if (once) printOnce(watch.snapshot(), options);
    else await new Top(watch, options, terminal).run();
  } finally {
    watch.close();
  }
}

function printOnce(snapshot: Snapshot, { interval, output }: TopOptions): void {
  output.data(toJson(snapshot));
  const width = Math.max(80, process.stdout.columns ?? 100);
  for (const line of plainView(snapshot, newUi(interval), { width, most: ONCE_ROWS })) {
    output.line(line.trimEnd());
  }
}

/** The live screen: looks again and again, and does what the keys say. */
class Top {
  readonly #watch: Watch;
  readonly #home: string;
  readonly #screen: Screen;
  #ui: Ui;
  #snapshot: Snapshot;
  #picture: Picture = { lines: [], rows: [], page: 0 };
  #timer: NodeJS.Timeout | null = null;
  #finish: (error?: unknown) => void = () => {};

  constructor(watch: Watch, { home, interval }: TopOptions, terminal: Terminal) {
    this.#watch = watch;
    this.#home = home;
    this.#ui = newUi(interval);
    this.#snapshot = watch.snapshot();
    this.#screen = new Screen(terminal, {
      key: (key) => this.#press(key),
      resized: () => this.#paint(),
    });
  }

  /** Resolves when the user leaves, or a signal says so. */
  async run(): Promise<void> {
    const leave = () => this.#finish();
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const signal of signals) process.on(signal, leave);
    this.#screen.open();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = (error) => (error === undefined ? resolve() : reject(error));
        this.#paint();
        this.#wait();
      });
    } finally {
      if (this.#timer) clearTimeout(this.#timer);
      this.#screen.close();
      for (const signal of signals) process.off(signal, leave);
    }
  }

  #wait(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#look().then(() => this.#wait(), this.#finish);
    }, this.#ui.interval);
  }

  async #look(): Promise<void> {
    if (this.#ui.paused) return;
    await this.#watch.look(false);
    if (this.#ui.view === "messages") await this.#watch.readMessages(this.#ui.filter);
    this.#snapshot = this.#watch.snapshot();
    this.#paint();
  }

  #paint(): void {
    this.#picture = view(this.#snapshot, this.#ui, this.#screen.size);
    this.#screen.draw(this.#picture.lines);
  }

  #press(key: string): void {
    const { rows, page } = this.#picture;
    const before = this.#ui;
    const pressed = press(before, key, { rows, page });
    this.#ui = pressed.ui;
    this.#paint();
    const { view: shown, filter, interval } = this.#ui;
    if (interval !== before.interval) this.#wait();
    if (shown === "messages" && (before.view !== shown || before.filter !== filter)) {
      void this.#look().catch(this.#finish);
    }
    if (pressed.command) this.#do(pressed.command);
  }

  #do(command: Command): void {
    switch (command.type) {
      case "quit":
        this.#finish();
        return;
      case "redraw":
        this.#screen.repaint();
        this.#paint();
        return;
      case "suspend":
        this.#screen.suspend();
        return;
      case "show":
        this.#show(command.row);
        return;
      case "act":
        void this.#act(command.action, command.id);
        return;
    }
  }

  #show(row: Row): void {
    const page = pageOf(row, this.#home);
    this.#ui = { ...this.#ui, mode: { type: "page", ...page, top: 0 } };
    this.#paint();
  }

  async #act(action: ActionName, id: string): Promise<void> {
    this.#say(`${action}: message ${id} ...`);
    try {
      this.#say(await actOn(this.#home, action, id));
    } catch (error) {
      this.#say(`${action}: ${(error as Error).message}`);
    }
    this.#watch.messages.changed();
    await this.#look().catch(this.#finish);
  }

  #say(notice: string): void {
    this.#ui = { ...this.#ui, notice };
    this.#paint();
  }
}
