/** An Output that keeps what a command says. */

import type { Output } from "../../commands/output.ts";

export class Captured implements Output {
  readonly json: boolean;
  readonly screen = { width: 80, colour: false };
  /** Lines and tables for a person. */
  text = "";
  notes = "";
  documents: unknown[] = [];

  constructor({ json = false } = {}) {
    this.json = json;
  }

  line(text = ""): void {
    if (!this.json) this.text += `${text}\n`;
  }

  table(columns: Parameters<Output["table"]>[0], rows: Parameters<Output["table"]>[1]): void {
    this.line([columns.map(({ title }) => title), ...rows].map((row) => row.join("|")).join("\n"));
  }

  data(value: unknown): void {
    if (this.json) this.documents.push(JSON.parse(JSON.stringify(value)));
  }

  dataList(values: Iterable<unknown>): void {
    if (this.json) this.data([...values]);
  }

  async drained(): Promise<void> {}

  async dataLines(pieces: AsyncIterable<string>): Promise<void> {
    for await (const piece of pieces) {
      for (const line of piece.split("\n")) this.data(JSON.parse(line));
    }
  }

  note(text: string): void {
    this.notes += `${text}\n`;
  }
}
