import { text } from 'node:stream/consumers'
import { UsageError } from './exit.ts'

/** A JSON value of the command line; `-` reads it from standard input, nothing is undefined. @throws UsageError */
export async function readJson(word: string | undefined, what: string): Promise<unknown> {
  if (word === undefined) return undefined
  const source = word === '-' ? await text(process.stdin) : word
  try {
    return JSON.parse(source) as unknown
  } catch (error) {
    const hint = word === '-' ? '' : ` Text is quoted twice: '"like this"'.`
    throw new UsageError(`${what} must be JSON: ${(error as Error).message}.${hint}`)
  }
}
