import type { CallOptions, To } from '../index.ts'
import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { EXIT, UsageError } from './exit.ts'
import { readJson } from './input.ts'
import { printable, type Output } from './output.ts'
import type { Verb } from './verb.ts'

export const call: Verb = {
  usage: '<method> [json|-] [--to WHOM] [--timeout MS] [--stream] [--json]',
  about: `Calls a method and prints its result: JSON, indented on a terminal, one line with --json or elsewhere. Params
are JSON; - reads them from standard input, and numbers below zero go behind --. Exit 4 when nobody offers the method
or the member is not here, 124 when no answer came in time, 1 when the handler failed. Ctrl-C reaches the handler.`,
  words: [1, 2],
  options: {
    to: { type: 'string', value: 'WHOM', help: 'primary, any, id:… or name:… (default: as the method is offered)' },
    timeout: { type: 'string', value: 'MS', help: 'how long to wait (default: 30000; with --stream: no bound)' },
    stream: { type: 'boolean', help: 'print each item the handler yields, one line each' },
    idempotent: { type: 'boolean', help: 'repeat it after a change of primary' },
    ...PLACE,
    ...WAIT,
  },
  examples: [`conclave call session.get '{"id":7}'`, 'conclave call logs.follow --to name:editor --stream | head'],
  run: async (given, { out, signal }) => {
    const [method = '', word] = given.words
    const to = toOf(given.text('to'))
    const timeoutMs = given.number('timeout', { min: 1 })
    const idempotent = given.has('idempotent') ? true : undefined
    const params = await readJson(word, 'The params', { signal })
    const options: CallOptions = { to, timeoutMs, idempotent, signal }
    return withMember(given, { signal }, async (member) => {
      if (!given.has('stream')) {
        await print(out, await member.call(method, params, options), given.has('json'))
        return EXIT.ok
      }
      for await (const item of member.stream(method, params, options)) {
        await out.json(item)
        if (out.broken) break
      }
      return EXIT.ok
    })
  },
}

async function print(out: Output, value: unknown, json: boolean): Promise<void> {
  if (value instanceof Uint8Array) {
    await out.json({ base64: Buffer.from(value).toString('base64') })
  } else if (json || !out.terminal) await out.json(value)
  else for (const line of (JSON.stringify(value, null, 2) ?? 'null').split('\n')) await out.line(printable(line))
}

function toOf(text: string | undefined): To | undefined {
  if (text === undefined || text === 'primary' || text === 'any') return text
  const [, what, who] = /^(id|name):(.+)$/s.exec(text) ?? []
  if (who === undefined) throw new UsageError(`--to needs primary, any, id:… or name:…, not "${text}".`)
  return what === 'id' ? { id: who } : { name: who }
}
