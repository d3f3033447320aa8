import { ConclaveError, type Outcome } from '../errors/index.ts'

const PRIMARY: Readonly<Record<number, string>> = {
  1: 'ERROR',
  2: 'INTERNAL',
  3: 'PERM',
  4: 'ABORT',
  5: 'BUSY',
  6: 'LOCKED',
  7: 'NOMEM',
  8: 'READONLY',
  9: 'INTERRUPT',
  10: 'IOERR',
  11: 'CORRUPT',
  12: 'NOTFOUND',
  13: 'FULL',
  14: 'CANTOPEN',
  15: 'PROTOCOL',
  17: 'SCHEMA',
  18: 'TOOBIG',
  19: 'CONSTRAINT',
  20: 'MISMATCH',
  21: 'MISUSE',
  23: 'AUTH',
  25: 'RANGE',
  26: 'NOTADB',
}

const EXTENDED: Readonly<Record<number, string>> = {
  275: 'CONSTRAINT_CHECK',
  531: 'CONSTRAINT_COMMITHOOK',
  787: 'CONSTRAINT_FOREIGNKEY',
  1043: 'CONSTRAINT_FUNCTION',
  1299: 'CONSTRAINT_NOTNULL',
  1555: 'CONSTRAINT_PRIMARYKEY',
  1811: 'CONSTRAINT_TRIGGER',
  2067: 'CONSTRAINT_UNIQUE',
  2323: 'CONSTRAINT_VTAB',
  2579: 'CONSTRAINT_ROWID',
  2835: 'CONSTRAINT_PINNED',
  3091: 'CONSTRAINT_DATATYPE',
  261: 'BUSY_RECOVERY',
  517: 'BUSY_SNAPSHOT',
  773: 'BUSY_TIMEOUT',
  516: 'ABORT_ROLLBACK',
  1032: 'READONLY_DBMOVED',
}

/** SQLite's extended result code of an error of the driver; `undefined` for an error of another kind. */
export function sqliteCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { errcode, code, data } = error as {
    errcode?: unknown
    code?: unknown
    data?: { extendedCode?: unknown } | null
  }
  if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') return errcode
  return ConclaveError.is(error) && typeof data?.extendedCode === 'number' ? data.extendedCode : undefined
}

/** Somebody else holds the lock that was needed. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && ((code & 0xff) === 5 || (code & 0xff) === 6)
}

/** `SQLITE_CONSTRAINT_UNIQUE`, ... */
export function sqliteName(code: number): string {
  return `SQLITE_${EXTENDED[code] ?? PRIMARY[code & 0xff] ?? code}`
}

/**
 * What a statement threw, as an error of ours: a violated constraint is `CONFLICT`, the rest `FAILED`; both carry
 * SQLite's extended code and its name in `data`. An error of ours passes; it gets the outcome if it has none.
 */
export function statementError(error: unknown, outcome: Outcome | undefined = 'not-committed'): ConclaveError {
  if (ConclaveError.is(error)) {
    if (error.outcome !== undefined || outcome === undefined) return error
    const { code, message, cause, key, reason, data } = error
    return new ConclaveError(code, message, { cause, key, reason, data, outcome })
  }
  const extendedCode = sqliteCode(error)
  if (extendedCode !== undefined) {
    const name = sqliteName(extendedCode)
    const text = `${(error as Error).message} (${name}).`
    const data = { sqlite: name, extendedCode }
    if ((extendedCode & 0xff) === 19) return new ConclaveError('CONFLICT', text, { cause: error, outcome, data })
    if ((extendedCode & 0xff) === 25) {
      const many = `The statement has fewer placeholders (?) than it was given parameters; names like :a are not bound (${name}).`
      return new ConclaveError('INVALID_PARAMS', many, { cause: error, outcome, data })
    }
    return new ConclaveError('FAILED', text, { cause: error, outcome, reason: name, data })
  }
  const { message, code, name, data } = (
    typeof error === 'object' && error !== null ? error : { message: String(error) }
  ) as Record<string, unknown>
  const reason = typeof code === 'string' ? code : typeof name === 'string' ? name : undefined
  const text = typeof message === 'string' && message !== '' ? message : 'The procedure failed without a message.'
  return new ConclaveError('FAILED', text, { cause: error, outcome, reason, data })
}
