/** A promise that was broken in a round. */
export interface Fault {
  readonly kind: FaultKind
  readonly text: string
}

export type FaultKind =
  /** Two processes were primary at once, or answered as such. */
  | 'two-primaries'
  /** Nobody was, or the members did not agree on who, within the limit. */
  | 'no-primary'
  /** A term did not rise. */
  | 'term'
  /** Acknowledged, and neither there nor told as missing. */
  | 'lost'
  | 'duplicated'
  /** There, though nobody sent it or it was reported as not committed. */
  | 'phantom'
  | 'order'
  /** A subscriber was told a wrong number of missing events. */
  | 'gap'
  /** Something did not settle. */
  | 'hung'
  | 'integrity'
  /** Descriptors, listeners, entries or files that stayed. */
  | 'leak'
  | 'memory'
  /** A process ended that nobody ended, or an error came that no fault of the plan explains. */
  | 'crash'

export function fault(kind: FaultKind, text: string): Fault {
  return { kind, text }
}
