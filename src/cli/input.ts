import { UsageError } from './exit.ts'

/** Four times what a body may have: JSON may be indented, and standard input may have no end. */
const MAX_INPUT_MIB = 64

/**
 * All of standard input, as text.
 * @param what how the error calls it
 * @throws UsageError, the signal's reason
 */
export async function readInput(what: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
  return decode(await Promise.race([readAll(what), aborted]), what)
}

async function readAll(what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let left = MAX_INPUT_MIB * 1024 * 1024
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    left -= chunk.byteLength
    if (left < 0) throw new UsageError(`${what} may have ${MAX_INPUT_MIB} MiB at most.`)
  }
  return Buffer.concat(chunks)
}

/** Not with U+FFFD for what is no UTF-8: that would be another value. */
function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError(`${what} must be UTF-8.`)
  }
}

export interface JsonOptions {
  readonly signal: AbortSignal
  /** The value is a secret: the error doesn't quote it. */
  readonly discreet?: boolean
}

/**
 * A JSON value of the command line; `-` reads it from standard input, nothing is undefined.
 * @throws UsageError, the signal's reason
 */
export async function readJson(
  word: string | undefined,
  what: string,
  { signal, discreet = false }: JsonOptions,
): Promise<unknown> {
  if (word === undefined) return undefined
  const source = word === '-' ? await readInput(what, signal) : word
  try {
    return JSON.parse(source) as unknown
  } catch (error) {
    // The reason quotes the value. What was typed is seen anyway; what was piped in may be a secret.
    if (word === '-') throw new UsageError(`${what} must be JSON.`)
    const reason = discreet ? '' : `: ${(error as Error).message}`
    throw new UsageError(`${what} must be JSON${reason}. Text is quoted twice: '"like this"'.`)
  }
}
