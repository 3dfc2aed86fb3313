/** What can be done to a message from the screen. Who does it is the caller's affair. */

export const ACTIONS = {
  r: { name: "retry", ask: false, what: "try message ID now" },
  h: { name: "hold", ask: false, what: "hold message ID" },
  u: { name: "release", ask: false, what: "release message ID" },
  b: { name: "bounce", ask: true, what: "bounce message ID to its sender now" },
  d: { name: "delete", ask: true, what: "delete message ID for good" },
} as const;

export type ActionKey = keyof typeof ACTIONS;
export type ActionName = (typeof ACTIONS)[ActionKey]["name"];

/** Who acts on messages. */
export interface Actor {
  /** Why `action` cannot be done here; null when it can. */
  unavailable(action: ActionName): string | null;
  /** Does it; resolves with what came of it, in a line. */
  act(action: ActionName, id: string): Promise<string>;
}

/** Nothing can be done. */
export const NO_ACTOR: Actor = {
  unavailable: (action) => `${action}: there is no mail server here that could do it`,
  act: async (action) => `${action}: not done`,
};
