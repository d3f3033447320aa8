/** For test/programs/: the other side of spawnProgram. One JSON object a line, both ways. */
import { createInterface } from 'node:readline'

/** Written when it returns, so that it is read even if this process is killed next. */
export function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

export function ready(message: object = {}): void {
  say({ ...message, ready: true })
}

/** What the test sends, until it lets go. Only a program that reads commands is kept alive by its standard input. */
export async function* commands<C = Readonly<Record<string, unknown>>>(): AsyncGenerator<C, void, undefined> {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line) as C
}
