/** What can be done to a message from the screen, by its key. */

export const ACTIONS = {
  r: { name: "retry", ask: false, what: "try message ID now" },
  h: { name: "hold", ask: false, what: "hold message ID" },
  u: { name: "release", ask: false, what: "release message ID" },
  b: { name: "bounce", ask: true, what: "return message ID to its sender now" },
  d: { name: "delete", ask: true, what: "delete message ID, without a word to anybody" },
} as const;

export type ActionKey = keyof typeof ACTIONS;
export type ActionName = (typeof ACTIONS)[ActionKey]["name"];
