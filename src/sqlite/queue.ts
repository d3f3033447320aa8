import { ConclaveError } from '../errors/index.ts'
import { MAX_MEMBER_BYTES, MAX_MEMBER_WRITES, MAX_QUEUED_BYTES, MAX_QUEUED_WRITES } from './limits.ts'

/** What waits for its turn. */
export interface Queued {
  /** Whose line: a member's. */
  readonly line: string
  readonly bytes: number
  /** Of writes; it changes only while the item is not in the queue. */
  readonly count: number
}

/** Taken items are cut off a line when there are this many. */
const COMPACT_AT = 1024

interface Line<T> {
  readonly name: string
  readonly items: T[]
  /** Items before it were taken. */
  head: number
  bytes: number
  count: number
}

export interface QueueLimits {
  readonly count: number
  readonly bytes: number
  readonly memberCount: number
  readonly memberBytes: number
}

const LIMITS: QueueLimits = {
  count: MAX_QUEUED_WRITES,
  bytes: MAX_QUEUED_BYTES,
  memberCount: MAX_MEMBER_WRITES,
  memberBytes: MAX_MEMBER_BYTES,
}

/** A line for each member, served in turn, one item at a time: in order for each, fair between them. */
export class FairQueue<T extends Queued> {
  readonly #limits: QueueLimits
  /** In the order of their turns. */
  readonly #lines = new Map<string, Line<T>>()
  #count = 0
  #bytes = 0

  constructor(limits: Partial<QueueLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits }
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * @param anyway past the bounds too
   * @throws `OVERLOADED` at a bound; an empty line takes one item of any size
   */
  add(item: T, anyway: boolean = false): void {
    const line = this.#lines.get(item.line)
    if (anyway) {
      this.#push(line, item)
      return
    }
    const { count, bytes, memberCount, memberBytes } = this.#limits
    if (line !== undefined) {
      if (line.count + item.count > memberCount || line.bytes + item.bytes > memberBytes) {
        throw overloaded(`${line.count} writes (${line.bytes} bytes) of this member wait`)
      }
    }
    if (this.#count + item.count > count || (this.#bytes + item.bytes > bytes && this.#count > 0)) {
      throw overloaded(`${this.#count} writes (${this.#bytes} bytes) wait`)
    }
    this.#push(line, item)
  }

  /** Whether a line has nothing that waits. */
  isEmpty(line: string): boolean {
    return !this.#lines.has(line)
  }

  /** What is next; it stays. */
  peek(): T | undefined {
    for (const line of this.#lines.values()) return line.items[line.head]
    return undefined
  }

  /** Takes what is next; the next turn is another member's. */
  take(): T | undefined {
    for (const line of this.#lines.values()) {
      const item = line.items[line.head]!
      line.head++
      line.bytes -= item.bytes
      line.count -= item.count
      this.#count -= item.count
      this.#bytes -= item.bytes
      this.#lines.delete(line.name)
      if (line.head < line.items.length) {
        if (line.head >= COMPACT_AT) {
          line.items.splice(0, line.head)
          line.head = 0
        }
        this.#lines.set(line.name, line)
      }
      return item
    }
    return undefined
  }

  /** Puts back what was taken last and not done, in its order, before what waits. */
  putBack(items: readonly T[]): void {
    const waiting = [...this.#lines.values()]
    this.#lines.clear()
    const back = new Map<string, T[]>()
    for (const item of items) {
      const of = back.get(item.line)
      if (of === undefined) back.set(item.line, [item])
      else of.push(item)
    }
    for (const [name, first] of back) {
      const line = waiting.find((candidate) => candidate.name === name)
      const rest = line === undefined ? [] : line.items.slice(line.head)
      const all = [...first, ...rest]
      const [bytes, count] = sumOf(all)
      this.#lines.set(name, { name, items: all, head: 0, bytes, count })
      const [moreBytes, moreCount] = sumOf(first)
      this.#count += moreCount
      this.#bytes += moreBytes
    }
    for (const line of waiting) if (!back.has(line.name)) this.#lines.set(line.name, line)
  }

  /** @returns whether it still waited */
  remove(item: T): boolean {
    const line = this.#lines.get(item.line)
    const at = line === undefined ? -1 : line.items.indexOf(item, line.head)
    if (line === undefined || at < 0) return false
    line.items.splice(at, 1)
    line.bytes -= item.bytes
    line.count -= item.count
    this.#count -= item.count
    this.#bytes -= item.bytes
    if (line.head === line.items.length) this.#lines.delete(item.line)
    return true
  }

  /** Everything, in the order of the turns. */
  drain(): T[] {
    const all: T[] = []
    for (let item = this.take(); item !== undefined; item = this.take()) all.push(item)
    return all
  }

  #push(line: Line<T> | undefined, item: T): void {
    if (line === undefined) {
      const { line: name, bytes, count } = item
      this.#lines.set(name, { name, items: [item], head: 0, bytes, count })
    } else {
      line.items.push(item)
      line.bytes += item.bytes
      line.count += item.count
    }
    this.#count += item.count
    this.#bytes += item.bytes
  }
}

function sumOf(items: readonly Queued[]): [bytes: number, count: number] {
  let [bytes, count] = [0, 0]
  for (const item of items) {
    bytes += item.bytes
    count += item.count
  }
  return [bytes, count]
}

function overloaded(what: string): ConclaveError {
  const text = `The writer of the database is behind: ${what}. Await some writes before making more.`
  return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
}
