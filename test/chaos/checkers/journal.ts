import { readFileSync } from 'node:fs'

/** What a process wrote down as it happened, one JSON object a line; `t` is CLOCK_MONOTONIC in microseconds. */
export type Line =
  | { readonly k: 'joining'; readonly t: number }
  | {
      readonly k: 'joined'
      readonly t: number
      readonly since: number
      readonly member: string
      readonly term: number
      readonly primary: string
    }
  | { readonly k: 'refused'; readonly t: number; readonly code: string; readonly text: string }
  | { readonly k: 'left'; readonly t: number; readonly why: string }
  /** Written before it is sent. */
  | {
      readonly k: 'invoke'
      readonly t: number
      readonly op: 'call' | 'event' | 'write'
      readonly item: string
      readonly topic?: string
      readonly idempotent?: boolean
    }
  | { readonly k: 'ok'; readonly t: number; readonly item: string; readonly seq?: number }
  | { readonly k: 'no'; readonly t: number; readonly item: string; readonly code: string; readonly outcome: string }
  /** What asking again said of a write that had ended as unknown. */
  | { readonly k: 'outcome'; readonly t: number; readonly item: string; readonly outcome: string }
  /** A handler ran. */
  | { readonly k: 'run'; readonly t: number; readonly item: string }
  | { readonly k: 'subscribing'; readonly t: number; readonly s: string; readonly pattern: string }
  | { readonly k: 'subscribed'; readonly t: number; readonly s: string; readonly seq: number }
  /** The subscription ended with an error; nothing more is owed to it. */
  | { readonly k: 'ended'; readonly t: number; readonly s: string; readonly code: string }
  | ({ readonly k: 'saw'; readonly t: number; readonly s: string } & Sight)

export interface Sight {
  readonly item: string
  readonly topic: string
  readonly seq: number
  readonly term: number
  /** As told; `null` stands for Infinity, as JSON writes it. */
  readonly missed: number | null
  readonly atLeast: number
}

export interface Journal {
  readonly name: string
  readonly lines: readonly Line[]
}

/** The last line of a process that was killed may be torn; any other torn line is a mistake of the harness. */
export function readJournal(name: string, path: string): Journal {
  return { name, lines: parseLines<Line>(readFileSync(path, 'utf8')) }
}

export function parseLines<T>(text: string): T[] {
  const rows = text.split('\n')
  rows.pop() // empty, or torn
  return rows.map((row) => JSON.parse(row) as T)
}
