import type { FileStat, Platform } from '../platform/platform.ts'

/** A file's identity as `Lock.identity` has it: `dev:ino`. */
export function identityOf(stat: FileStat): string {
  return `${stat.dev}:${stat.ino}`
}

export type Reading = { readonly type: 'text'; readonly text: string } | { readonly type: 'absent' | 'damaged' }

/** Errors that say nothing about the file: it may be whole, and another look may show it. */
const NOT_THE_FILE: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO'])

/**
 * A small file that anybody of our uid may have written: absent, or too long or of a wrong kind (`damaged`), or its text.
 * @throws the system's error when the file could not be looked at: whoever took that for damage would forget its term
 */
export function readText(platform: Platform, path: string, maxBytes: number): Reading {
  try {
    const text = platform.readFile(path, maxBytes)
    return text === undefined ? { type: 'absent' } : { type: 'text', text }
  } catch (error) {
    if (NOT_THE_FILE.has(errnoOf(error))) throw error
    return { type: 'damaged' }
  }
}

/** The value of a JSON text, if it is an object. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** The system's error name (`ENOENT`, ...) of a thrown value: its own code, `data.errno`, or that of its cause. */
export function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 4; depth++) {
    const { code, data, cause } = at as { code?: unknown; data?: { errno?: unknown } | null; cause?: unknown }
    if (typeof data?.errno === 'string') return data.errno
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code
    at = cause
  }
  return undefined
}
