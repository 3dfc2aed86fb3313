/** Tables as comma-separated values (RFC 4180), an empty line between two. */

import type { Cell, Table } from "./tables.ts";

/** The overall figures, when wanted, and the tables. */
export function csv(
  overall: Readonly<Record<string, number>> | null,
  tables: readonly Table[],
): string {
  const parts = tables.map(({ columns, rows }) => lines([columns, ...rows]));
  if (overall) parts.unshift(lines([["name", "value"], ...Object.entries(overall)]));
  return parts.join("\n");
}

function lines(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map(field).join(",")}\n`).join("");
}

function field(cell: Cell): string {
  const text = String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
