/** States of an event; an order: at or above `inactive` it is enabled. docs/spec/03 section 2. */
export const eventStates: {
  /** In a register on `oncpu`. */
  readonly active: 1;
  /** Enabled, waiting for its context to run. */
  readonly inactive: 0;
  readonly off: -1;
  /** Pinned, and could not be scheduled. Left by enabling only. */
  readonly error: -2;
  /** The task is gone, or the event was removed when it executed a program. */
  readonly exit: -3;
  readonly dead: -5;
} = { active: 1, inactive: 0, off: -1, error: -2, exit: -3, dead: -5 };

/** A value of {@link eventStates}. */
export type EventState = (typeof eventStates)[keyof typeof eventStates];
