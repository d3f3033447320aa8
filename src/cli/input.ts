import { text } from 'node:stream/consumers'
import { UsageError } from './exit.ts'

/**
 * A JSON value of the command line; `-` reads it from standard input, nothing is undefined.
 * @param discreet the value is a secret: the error doesn't quote it
 * @throws UsageError
 */
export async function readJson(word: string | undefined, what: string, discreet: boolean = false): Promise<unknown> {
  if (word === undefined) return undefined
  const source = word === '-' ? await text(process.stdin) : word
  try {
    return JSON.parse(source) as unknown
  } catch (error) {
    // The reason quotes the value. What was typed is seen anyway; what was piped in may be a secret.
    if (word === '-') throw new UsageError(`${what} must be JSON.`)
    const reason = discreet ? '' : `: ${(error as Error).message}`
    throw new UsageError(`${what} must be JSON${reason}. Text is quoted twice: '"like this"'.`)
  }
}
