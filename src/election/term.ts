import { posix as path } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import { parseObject, readText } from './files.ts'
import { MAX_TERM, MAX_TERM_FILE_BYTES, TERM_JUMP } from './limits.ts'
import type { Workspace } from './workspace.ts'

/** What the term file says. `boot`: the boot id of the machine when it was written. */
export type TermRecord =
  | { readonly type: 'term'; readonly term: number; readonly boot: string | undefined }
  | { readonly type: 'absent' | 'damaged' }

export interface TermEvidence {
  readonly file: TermRecord
  /** The boot id of now. */
  readonly boot: string | undefined
  /** Terms of other records: the announcement, the database, the durable log. 0: there is none yet. Impossible ones count as damage. */
  readonly records: readonly number[]
  /** Traces of an older term that name no number: a damaged announcement. */
  readonly traces?: boolean | undefined
}

export function isTerm(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_TERM
}

/**
 * The rule of the next term: one more than the highest on record; `TERM_JUMP` more than that when a record may have
 * been lost: the machine was restarted (the fsync of the last term may not have happened), or the file is damaged, or it
 * is missing beside other traces (B8).
 * @throws `UNSAFE_WORKSPACE` when no term is left
 */
export function nextTerm({ file, boot, records, traces = false }: TermEvidence): number {
  const known = records.filter(isTerm)
  if (file.type === 'term') known.push(file.term)
  const highest = Math.max(0, ...known)
  const doubtful =
    file.type === 'damaged' ||
    (file.type === 'absent' && (traces || records.some((record) => record !== 0))) ||
    (file.type === 'term' && file.boot !== boot)
  const next = highest + 1 + (doubtful ? TERM_JUMP : 0)
  if (highest < MAX_TERM) return Math.min(next, MAX_TERM)
  const text = `All ${MAX_TERM} terms of this workspace are used up. Close all its members and delete its .conclave directory (keep the database).`
  throw new ConclaveError('UNSAFE_WORKSPACE', text)
}

export function termPath(workspace: Workspace): string {
  return path.join(workspace.directory, 'term')
}

export function readTerm(workspace: Workspace): TermRecord {
  const reading = readText(workspace.platform, termPath(workspace), MAX_TERM_FILE_BYTES)
  return reading.type === 'text' ? parseTerm(reading.text) : { type: reading.type }
}

/** Replaces the file as a whole. No fsync: that follows when the primary serves (B8). */
export function writeTerm(workspace: Workspace, term: number): void {
  workspace.platform.replaceFile(termPath(workspace), formatTerm(term, workspace.platform.bootId))
}

export function formatTerm(term: number, boot: string | undefined): string {
  return `${JSON.stringify({ term, boot, check: checksum(term, boot) })}\n`
}

export function parseTerm(text: string): TermRecord {
  const { term, boot, check } = parseObject(text) ?? {}
  if (!isTerm(term) || !(boot === undefined || typeof boot === 'string')) return { type: 'damaged' }
  return check === checksum(term, boot) ? { type: 'term', term, boot } : { type: 'damaged' }
}

/** CRC-32, as of zlib: it is to show damage, and for that no process has to load node:crypto (4 ms, 3 MiB). */
function checksum(term: number, boot: string | undefined): string {
  let crc = 0xffffffff
  for (const byte of Buffer.from(`${term} ${boot ?? ''}`)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (~crc >>> 0).toString(16).padStart(8, '0')
}
