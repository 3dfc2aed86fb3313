/** Numbers as they fit into narrow columns. */

/** A rate: "0", "0.02", "9.5", "1234". */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond < 0.005) return "<.01";
  if (perSecond < 1) return perSecond.toFixed(2);
  return perSecond < 100 ? perSecond.toFixed(1) : perSecond.toFixed(0);
}

/** How many, in groups of three digits. */
export function count(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Bytes: "812", "1.2k", "34M". */
export function size(bytes: number): string {
  let amount = bytes;
  for (const unit of ["", "k", "M"]) {
    if (amount < 999.5)
      return amount < 9.95 && unit !== ""
        ? `${amount.toFixed(1)}${unit}`
        : `${Math.round(amount)}${unit}`;
    amount /= 1024;
  }
  return `${amount.toFixed(1)}G`;
}
