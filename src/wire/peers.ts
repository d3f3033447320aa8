/** Who a message is from, or for. Types only. */

/** `primary` serves the workspace; `secondary` is everybody else. */
export type Role = 'primary' | 'secondary'

export interface MemberRef {
  /** 128 random bits, new at each join: never reused, never ambiguous. */
  readonly id: string
  /** What the program called itself; several members may share it. */
  readonly name: string
  /** A label: it may be of another pid namespace, and is reused by the system. */
  readonly pid: number
}
