/** What the conductor knows, for the picture, the lines and the report. */

export type ProcessState = 'starting' | 'working' | 'killed' | 'ended'

export interface ProcessView {
  readonly name: string
  readonly pid: number
  readonly late: boolean
  state: ProcessState
  role: 'primary' | 'secondary' | undefined
  /** The last term it was seen in. */
  term: number
  /** Files of which it published the hash. */
  files: number
}

export interface Failover {
  /** The new primary's. */
  readonly term: number
  readonly killed: string
  readonly primary: string
  /** From the SIGKILL to the first call of a survivor that the new primary answered. */
  readonly ms: number
  /** The same for every survivor, in the order they were answered. */
  readonly everyMs: readonly number[]
}

export interface EventCounts {
  readonly published: number
  readonly delivered: number
  readonly missed: number
}

export type Phase = 'starting' | 'walking' | 'indexing' | 'comparing' | 'done' | 'failed'

export interface DemoState {
  readonly tree: string
  readonly processes: readonly ProcessView[]
  readonly phase: Phase
  readonly term: number
  readonly done: number
  readonly total: number
  readonly compared: number
  readonly failovers: readonly Failover[]
  readonly events: EventCounts
  /** Of the last second, or of the whole run when it is over. */
  readonly eventsPerSecond: number
  readonly elapsedMs: number
  readonly verdict: string | undefined
}

/** The JSON object of `conclave demo --json`. */
export interface Report {
  readonly ok: boolean
  readonly files: number
  readonly indexed: number
  readonly lost: number
  readonly duplicated: number
  readonly terms: number
  readonly failovers: readonly Failover[]
  readonly medianFailoverMs: number | undefined
  readonly events: EventCounts & {
    /** Missed events the bus announced; with `toldExactly` false it said that there may be more. */
    readonly told: number
    readonly toldExactly: boolean
    /** Delivered twice. */
    readonly repeated: number
  }
  /** Committed results that a later primary did not have. */
  readonly forgotten: number
  /** Files created, changed or removed by others meanwhile: not compared. */
  readonly changed: number
  readonly bytes: number
  readonly processes: readonly ProcessView[]
  readonly tree: string
  readonly durationMs: number
  /** What is wrong, when something is. */
  readonly problems: readonly string[]
}

export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle]
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle]
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2
}
