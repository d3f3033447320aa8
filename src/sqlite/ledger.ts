import type { Outcome } from '../errors/index.ts'
import { outcomeOf, type Answer } from './answer.ts'
import type { Connection, Prepared } from './driver.ts'
import { MAX_OUTCOME_BYTES, MAX_WRITERS, WRITER_KEPT_MS } from './limits.ts'

/** What is to be done with write `number` of a writer (rule A6). */
export type Verdict =
  | { readonly type: 'execute' }
  /** It ran before: this is what it came to. */
  | { readonly type: 'answer'; readonly answer: Answer }
  /** A later one has begun and this one never ran: it never will. */
  | { readonly type: 'never' }
  /** At or below the watermark: its writer has settled it. */
  | { readonly type: 'settled' }
  /** No row: retired, or never opened. */
  | { readonly type: 'expired' }

const EXECUTE: Verdict = { type: 'execute' }

interface Row {
  readonly id: number
  readonly writer: string
  /** Highest number begun. */
  last: number
  /** All numbers up to it are settled at the writer. */
  watermark: number
  /** Above the watermark, by number, which is also the order. */
  readonly outcomes: Map<number, Kept>
  bytes: number
  /** Wall clock, when its last link closed. */
  closed: number | undefined
}

interface Kept {
  readonly answer: Answer
  /** About: what it counts for. */
  readonly bytes: number
}

interface Undo {
  readonly last: number
  readonly added: number[]
}

/**
 * Who wrote what: for each writer the highest number begun, and the outcomes that it has not acknowledged. The rows are
 * written in the transaction of the writes themselves; memory follows it (`committed`, `rolledBack`).
 */
export class Ledger {
  readonly #rows = new Map<string, Row>()
  /** Rows that memory knows better than the table. */
  readonly #dirty = new Set<Row>()
  readonly #undo = new Map<Row, Undo>()
  readonly #created: string[] = []
  readonly #insert: Prepared
  readonly #update: Prepared
  readonly #delete: Prepared
  readonly #removed: Row[] = []

  /** Whoever is recorded without an end lost its link with the last primary at the latest: its time runs from now. */
  constructor(connection: Connection, now: number) {
    this.#insert = connection.prepare(
      "INSERT INTO _conclave_writers(writer, last, watermark, outcomes) VALUES (?, 0, 0, '[]')",
    )
    this.#update = connection.prepare(
      'UPDATE _conclave_writers SET last = ?, watermark = ?, outcomes = ?, closed = ? WHERE id = ?',
    )
    this.#delete = connection.prepare('DELETE FROM _conclave_writers WHERE id = ?')
    const rows = connection.prepare('SELECT id, writer, last, watermark, outcomes, closed FROM _conclave_writers')
    for (const { id, writer, last, watermark, outcomes, closed } of rows.all([])) {
      const list = JSON.parse(String(outcomes)) as [number, Answer][]
      const kept = list.map(([number, answer]) => [number, { answer, bytes: JSON.stringify(answer).length }] as const)
      const row: Row = {
        id: Number(id),
        writer: String(writer),
        last: Number(last),
        watermark: Number(watermark),
        outcomes: new Map(kept),
        bytes: kept.reduce((sum, [, { bytes }]) => sum + bytes, 0),
        closed: closed === null ? now : Number(closed),
      }
      this.#rows.set(row.writer, row)
      if (closed === null) this.#dirty.add(row)
    }
  }

  get size(): number {
    return this.#rows.size
  }

  /** Idempotent. */
  open(writer: string): void {
    const known = this.#rows.get(writer)
    if (known !== undefined) return
    const { lastInsertRowid } = this.#insert.run([writer])
    const id = Number(lastInsertRowid)
    const row = { id, writer, last: 0, watermark: 0, outcomes: new Map(), bytes: 0, closed: undefined }
    this.#rows.set(writer, row)
    this.#created.push(writer)
  }

  /** Its link is open: it is not forgotten before that has closed. One that is not known stays unknown. */
  here(writer: string): void {
    const row = this.#rows.get(writer)
    if (row?.closed === undefined) return
    row.closed = undefined
    this.#dirty.add(row)
  }

  /** A clean goodbye: the writer sends nothing any more. */
  retire(writer: string): void {
    const row = this.#rows.get(writer)
    if (row === undefined) return
    this.#delete.run([row.id])
    this.#rows.delete(writer)
    this.#dirty.delete(row)
    this.#removed.push(row)
  }

  /** Takes note of what the writer has settled, and says what is to become of its write. */
  look(writer: string, number: number, watermark: number): Verdict {
    const row = this.#rows.get(writer)
    if (row === undefined) return { type: 'expired' }
    this.here(writer)
    this.#prune(row, watermark)
    if (number > row.last) return EXECUTE
    const kept = row.outcomes.get(number)
    if (kept !== undefined) return { type: 'answer', answer: kept.answer }
    return { type: number > row.watermark ? 'never' : 'settled' }
  }

  /** Whether the writer acknowledges so little that no more outcomes can be kept for it. */
  isFull(writer: string): boolean {
    return (this.#rows.get(writer)?.bytes ?? 0) > MAX_OUTCOME_BYTES
  }

  /** The write has begun, and came to this. @param bytes of the answer as JSON, about */
  record(writer: string, number: number, answer: Answer, bytes: number): void {
    const row = this.#rows.get(writer)
    if (row === undefined) return
    this.#touch(row).added.push(number)
    row.last = number
    row.outcomes.set(number, { answer, bytes })
    row.bytes += bytes
  }

  /** Whether this write, or a later one, has begun. */
  begun(writer: string, number: number): boolean {
    return number <= (this.#rows.get(writer)?.last ?? 0)
  }

  /**
   * What became of a write.
   * @param own its writer asks: an open number is burnt then, and an old copy of it, still on its way, never runs
   */
  outcome(writer: string, number: number, own: boolean): Outcome {
    const row = this.#rows.get(writer)
    if (row === undefined || number <= row.watermark) return 'unknown'
    const kept = row.outcomes.get(number)
    if (kept !== undefined) return outcomeOf(kept.answer)
    if (number <= row.last) return 'not-committed'
    if (!own) return 'unknown'
    this.#touch(row)
    row.last = number
    return 'not-committed'
  }

  /** Its last link is gone. Written with the next transaction; the next primary knows without it. */
  closed(writer: string, now: number): void {
    const row = this.#rows.get(writer)
    if (row === undefined || row.closed !== undefined) return
    row.closed = now
    this.#dirty.add(row)
  }

  /** Retires, within a transaction, who has been gone for too long, and the longest gone when there are too many. */
  forget(now: number): void {
    const gone = [...this.#rows.values()].filter((row) => row.closed !== undefined)
    gone.sort((a, b) => a.closed! - b.closed!)
    let excess = this.#rows.size - MAX_WRITERS
    for (const row of gone) {
      if (row.closed! > now - WRITER_KEPT_MS && excess <= 0) break
      excess--
      this.retire(row.writer)
    }
  }

  /** Writes what changed, within the transaction. */
  flush(): void {
    for (const row of this.#dirty) {
      const list: [number, Answer][] = []
      for (const [number, { answer }] of row.outcomes) list.push([number, answer])
      this.#update.run([row.last, row.watermark, JSON.stringify(list), row.closed ?? null, row.id])
    }
  }

  committed(): void {
    this.#dirty.clear()
    this.#undo.clear()
    this.#created.length = 0
    this.#removed.length = 0
  }

  /** What was acknowledged stays acknowledged: only what the transaction itself did is undone. */
  rolledBack(): void {
    for (const row of this.#removed.splice(0)) this.#rows.set(row.writer, row)
    for (const writer of this.#created.splice(0)) {
      const row = this.#rows.get(writer)
      if (row !== undefined) this.#dirty.delete(row)
      this.#rows.delete(writer)
    }
    for (const [row, { last, added }] of this.#undo) {
      row.last = last
      for (const number of added) {
        row.bytes -= row.outcomes.get(number)?.bytes ?? 0
        row.outcomes.delete(number)
      }
    }
    this.#undo.clear()
  }

  #touch(row: Row): Undo {
    this.#dirty.add(row)
    let undo = this.#undo.get(row)
    if (undo === undefined) this.#undo.set(row, (undo = { last: row.last, added: [] }))
    return undo
  }

  #prune(row: Row, watermark: number): void {
    if (watermark <= row.watermark) return
    row.watermark = watermark
    this.#dirty.add(row)
    for (const [number, { bytes }] of row.outcomes) {
      if (number > watermark) break
      row.outcomes.delete(number)
      row.bytes -= bytes
    }
  }
}
