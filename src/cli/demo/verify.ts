import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { unreadable } from './protocol.ts'
import { isLeftOut } from './skip.ts'

/** The index is checked by other code than the one that made it: one process, synchronous, its own walk and hash. */

const CHUNK = Buffer.allocUnsafeSlow(1024 * 1024)
const TURN_MS = 25

export interface Row {
  readonly path: string
  readonly sha256: string | null
  readonly size: number | null
  readonly results: number
}

export interface Comparison {
  files: number
  bytes: number
  indexed: number
  lost: number
  duplicated: number
  /** In the index and not in the tree, though nobody removed them. */
  extra: number
  changed: number
  /** Some of what is wrong. */
  readonly examples: string[]
}

const EXAMPLES = 5

export async function compare(
  tree: string,
  rows: Iterable<Row>,
  options: { readonly startedAt: number; readonly signal: AbortSignal; readonly compared: (files: number) => void },
): Promise<Comparison> {
  const { startedAt, signal, compared } = options
  const sum: Comparison = { files: 0, bytes: 0, indexed: 0, lost: 0, duplicated: 0, extra: 0, changed: 0, examples: [] }
  const wrong = (what: string): void => void (sum.examples.length < EXAMPLES && sum.examples.push(what))
  const index = new Map<string, Row>()
  for (const row of rows) {
    if (row.sha256 !== null) sum.indexed++
    if (row.results > 1) {
      sum.duplicated += row.results - 1
      wrong(`${row.path} was indexed ${row.results} times`)
    }
    if (index.has(row.path)) {
      sum.duplicated++
      wrong(`${row.path} has two rows`)
    }
    index.set(row.path, row)
  }
  let turnAt = performance.now()
  for (const path of filesBelow(tree, '')) {
    const row = index.get(path)
    index.delete(path)
    const found = contentOf(join(tree, path))
    sum.files++
    sum.bytes += found.size
    if (row === undefined || row.sha256 !== found.sha256 || row.size !== found.size) {
      if (changedSince(join(tree, path), startedAt)) sum.changed++
      else {
        sum.lost++
        wrong(
          `${path} ${row === undefined ? 'is not in the index' : `has ${row.sha256 ?? 'no hash'}, not ${found.sha256}`}`,
        )
      }
    }
    if (performance.now() - turnAt < TURN_MS) continue
    compared(sum.files)
    await turn()
    signal.throwIfAborted()
    turnAt = performance.now()
  }
  for (const path of index.keys()) {
    if (changedSince(join(tree, path), startedAt)) sum.changed++
    else {
      sum.extra++
      wrong(`${path} is in the index and not in the tree`)
    }
  }
  compared(sum.files)
  return sum
}

function* filesBelow(tree: string, folder: string): Generator<string, void, undefined> {
  let entries
  try {
    entries = readdirSync(join(tree, folder), { withFileTypes: true })
  } catch {
    return
  }
  for (const entry of entries) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isFile()) {
      if (!isLeftOut(entry.name, 'file')) yield path
    } else if (entry.isDirectory() && !isLeftOut(entry.name, 'folder')) yield* filesBelow(tree, path)
  }
}

function contentOf(path: string): { readonly sha256: string; readonly size: number } {
  const hash = createHash('sha256')
  let size = 0
  try {
    const file = openSync(path, 'r')
    try {
      for (;;) {
        const bytes = readSync(file, CHUNK, 0, CHUNK.length, null)
        if (bytes === 0) break
        hash.update(CHUNK.subarray(0, bytes))
        size += bytes
      }
    } finally {
      closeSync(file)
    }
  } catch (error) {
    return { sha256: unreadable(error), size: 0 }
  }
  return { sha256: hash.digest('hex'), size }
}

/** The kernel dates changes by its tick. */
const TICK_MS = 20

/** Content, name or permissions: whatever the kernel dates. A file that is gone has changed too. */
function changedSince(path: string, ms: number): boolean {
  let stat: Stats
  try {
    stat = lstatSync(path)
  } catch {
    return true
  }
  return stat.ctimeMs >= ms - TICK_MS
}
