/** Who asks, and until when. */
export class RequestContext {
  /** The member's id: what is gone when its link is. */
  readonly member: string
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly deadline: number
  /** What to do when the caller gives up, while its request waits. */
  onGivenUp: ((reason: unknown) => void) | undefined

  constructor(member: string, deadline: number) {
    this.member = member
    this.deadline = deadline
  }

  /** The caller gave up: what has not begun never will. */
  giveUp(reason: unknown): void {
    const { onGivenUp } = this
    this.onGivenUp = undefined
    onGivenUp?.(reason)
  }
}
