/** What the demo's processes say to each other. Types and names only. */

export const TOPIC = {
  /** A worker hashed a file. */
  indexed: 'file.indexed',
  /** The primary committed results to its database. */
  progress: 'index.progress',
  /** A survivor's call was answered by a new primary. */
  answered: 'primary.answered',
} as const

export interface FileIndexed {
  /** Counts the events of this publisher from 1: a gap is a loss, whatever the bus says. */
  readonly number: number
  readonly path: string
  readonly sha256: string
  readonly size: number
}

export interface Progress {
  readonly term: number
  /** Files in the database, committed. */
  readonly done: number
  /** Files found; 0 until the walk is over. */
  readonly total: number
  /** Files that were in the database when this primary took over. */
  readonly found: number
  readonly complete: boolean
}

export interface Answered {
  readonly term: number
  /** CLOCK_MONOTONIC, milliseconds: the same clock in every process of the machine. */
  readonly atMs: number
}

/** Result of `hash`: what a worker found in a file, or why it could not read it. */
export interface Hashed {
  readonly sha256: string
  readonly size: number
}

export interface Pong {
  readonly id: string
  readonly term: number
}

/** Result of `count`: events of a worker that the switchboard acknowledged. */
export interface Count {
  readonly acknowledged: number
}

export const INDEX_FILE = 'index.db'

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** In place of a hash: the file could not be read. */
export function unreadable(error: unknown): string {
  return `unreadable:${(error as NodeJS.ErrnoException).code ?? 'unknown'}`
}
