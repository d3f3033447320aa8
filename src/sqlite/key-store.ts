import { createHash } from 'node:crypto'
import { ConclaveError } from '../errors/index.ts'
import type { Connection, Prepared } from './driver.ts'
import { KEY_KEPT_MS, MAX_KEYS } from './limits.ts'

/** What tells two requests under one key apart. */
export function digestOf(request: unknown): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('base64url').slice(0, 22)
}

/**
 * The callers' own keys (rule A6): what was committed under each, for a named time and count, across restarts. A failed
 * write leaves no key: it had no effect, and may be tried again.
 */
export class KeyStore {
  readonly #find: Prepared
  readonly #insert: Prepared
  readonly #forget: Prepared

  constructor(connection: Connection) {
    this.#find = connection.prepare('SELECT digest, answer FROM _conclave_keys WHERE key = ?')
    this.#insert = connection.prepare('INSERT INTO _conclave_keys(key, digest, at, answer) VALUES (?, ?, ?, ?)')
    this.#forget = connection.prepare(
      'DELETE FROM _conclave_keys WHERE at < ? OR id <= (SELECT max(id) FROM _conclave_keys) - ?',
    )
  }

  /** The stored answer, as text. @throws `CONFLICT` when the key was another write's */
  find(key: string, digest: string): string | undefined {
    const row = this.#find.get([key])
    if (row === undefined) return undefined
    if (row['digest'] === digest) return String(row['answer'])
    const text = `The key ${JSON.stringify(key)} was used for another write: one key, one write.`
    throw new ConclaveError('CONFLICT', text, { outcome: 'not-committed', key })
  }

  has(key: string): boolean {
    return this.#find.get([key]) !== undefined
  }

  /** Within the transaction of the write. */
  record(key: string, digest: string, at: number, answer: string): void {
    this.#insert.run([key, digest, at, answer])
  }

  forget(now: number): void {
    this.#forget.run([now - KEY_KEPT_MS, MAX_KEYS])
  }
}
