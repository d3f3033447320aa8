import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  ClientConnection,
  defineModule,
  DomainSocketServer,
  Explainer,
  statusName,
  Status,
  type Explained,
} from '../dialects/drpc/index.ts'
import type { Given } from './args.ts'
import { readTypes } from './drpc-types.ts'
import { EXIT, UsageError } from './exit.ts'
import { readJson } from './input.ts'
import type { Output } from './output.ts'
import { printable } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

/** Modules of `serve --echo`: the numbers in use, and the one tests take. */
const ECHO_MODULES = [0, 1, 2, 3, 4, 42]

export const drpc: Verb = {
  usage: `call <socket> <module> <method> [text] [--hex HEX|--file FILE|--json --proto F --type T] [-n N]
       conclave drpc serve <socket> --echo
       conclave drpc decode [packet in hex]... [--from server]`,
  about: `dRPC: calls with protobuf bodies over Unix sockets of packets. call sends one, N times with -n, and prints
status and body; serve answers each call with its own body until it is ended; decode explains packets, from the command
line or one a line on standard input, with > before those of the client and < before those of the server.`,
  words: [1, Infinity],
  options: {
    hex: { type: 'string', value: 'HEX', help: 'the body of the call, in hex' },
    file: { type: 'string', value: 'FILE', help: 'the body of the call, from a file' },
    proto: { type: 'string', value: 'FILE', help: 'with --json: where the types are, a .proto or a compiled set' },
    type: { type: 'string', value: 'TYPE', help: 'with --json: the type of the text, and of the answer' },
    reply: { type: 'string', value: 'TYPE', help: 'with --json: the type of the answer, where it differs' },
    times: { type: 'string', short: 'n', value: 'N', help: 'call so many times (default: 1)' },
    timeout: { type: 'string', value: 'MS', help: 'how long to wait for each answer (default: 30000)' },
    echo: { type: 'boolean', help: 'serve: answer with what was sent' },
    mode: { type: 'string', value: 'MODE', help: 'serve: of the socket file, octal (default: 600)' },
    from: { type: 'string', value: 'SIDE', help: 'decode: who sent the packets, client (default) or server' },
  },
  examples: [
    'conclave drpc call /run/x.sock 42 1 --hex 6869',
    `conclave drpc call /run/x.sock 2 201 '{"name":"x"}' --json --proto mgmt.proto --type mgmt.PingReq --reply mgmt.PingResp`,
    'conclave drpc decode 060000000000000006000000000000000000000001000000082a10011801',
  ],
  run: (given, around) => {
    const [what = '', ...words] = given.words
    if (what === 'call') return call(given, words, around)
    if (what === 'serve') return serve(given, words, around)
    if (what === 'decode') return decode(given, words, around)
    throw new UsageError(`call, serve or decode, not "${what}".`)
  },
}

async function call(given: Given, words: readonly string[], { out, signal }: Surroundings): Promise<number> {
  const [path, module, method, text] = words
  if (path === undefined || module === undefined || method === undefined || words.length > 4) {
    throw new UsageError('It needs a socket, a module and a method: conclave drpc call <socket> <module> <method>.')
  }
  const { body, explain } = await bodyOf(given, text, signal)
  const times = given.number('times', { min: 1 }) ?? 1
  const timeoutMs = given.number('timeout', { min: 1 })
  const options = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
  await using client = new ClientConnection(path, { trusts: () => true })
  await client.connect()
  let code: number = EXIT.ok
  for (let count = 0; count < times; count++) {
    const response = await client.sendMsg({ module: numberOf(module), method: numberOf(method), body }, options)
    const { status, sequence } = response
    if (status === Status.UNKNOWN_MODULE || status === Status.UNKNOWN_METHOD) code = EXIT.notFound
    else if (status !== Status.SUCCESS) code = EXIT.error
    const answer = status === Status.SUCCESS ? explain(response.body) : undefined
    if (given.has('json'))
      await out.json({ sequence: numberOrText(sequence), status: statusName(status), body: answer })
    else await out.line(`${sequence} ${statusName(status)}${answer === undefined ? '' : ` ${textOf(answer)}`}`)
  }
  return code
}

async function bodyOf(
  given: Given,
  text: string | undefined,
  signal: AbortSignal,
): Promise<{ body: Uint8Array; explain: (body: Uint8Array) => unknown }> {
  const [hex, file, proto, type] = ['hex', 'file', 'proto', 'type'].map((option) => given.text(option))
  const plain = (body: Uint8Array): unknown => hexOf(body)
  if (proto !== undefined && type !== undefined) {
    const types = await readTypes(proto)
    const reply = given.text('reply') ?? type
    return {
      body: types.encode(type, (await readJson(text, 'The body', { signal })) ?? {}),
      explain: (body) => types.decode(reply, body),
    }
  }
  if (proto !== undefined || type !== undefined) throw new UsageError('--proto and --type belong together.')
  if (hex !== undefined) return { body: bytesOf(hex), explain: plain }
  if (file !== undefined) return { body: readFileSync(file), explain: plain }
  return { body: Buffer.from(text ?? ''), explain: plain }
}

async function serve(given: Given, words: readonly string[], { out, err, signal }: Surroundings): Promise<number> {
  const [path] = words
  if (path === undefined || words.length > 1 || !given.has('echo')) {
    throw new UsageError('It needs a socket and --echo: conclave drpc serve <socket> --echo.')
  }
  const mode = modeOf(given.text('mode') ?? '600')
  const server = new DomainSocketServer({ path, mode, onError: (error) => void err.line(printable(error.message)) })
  for (const id of ECHO_MODULES) server.registerModule(defineModule({ id, handleCall: (_method, body) => body }))
  await server.start()
  await out.line(given.has('json') ? JSON.stringify({ listening: server.path }) : `listening at ${server.path}`)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await server.shutdown()
  throw signal.reason as Error
}

async function decode(given: Given, words: readonly string[], { out, signal }: Surroundings): Promise<number> {
  const asked = given.text('from')
  const from = asked ?? 'client'
  if (from !== 'client' && from !== 'server') throw new UsageError(`--from needs client or server, not "${from}".`)
  const explainers = { client: await Explainer.make('client'), server: await Explainer.make('server') }
  let code: number = EXIT.ok
  for await (const line of words.length > 0 ? words : createInterface({ input: process.stdin, signal })) {
    const [, mark = '', hex = ''] = /^\s*([<>]?)\s*(\S*)\s*$/.exec(line) ?? [line, '', line]
    if (hex === '') continue
    const side = mark === '<' ? 'server' : mark === '>' ? 'client' : from
    const explained = explainers[side].explain(bytesOf(hex))
    if (explained.fault !== undefined) code = EXIT.error
    await say(out, explained, given.has('json'))
  }
  signal.throwIfAborted()
  return code
}

async function say(out: Output, explained: Explained, json: boolean): Promise<void> {
  const { header, call: asked, response, fault } = explained
  const message = asked ?? response
  const plain =
    message === undefined
      ? undefined
      : { ...message, sequence: numberOrText(message.sequence), body: hexOf(message.body) }
  const name = explained.statusName
  if (json) return out.json({ header, [asked === undefined ? 'response' : 'call']: plain, statusName: name, fault })
  const chunk =
    header === undefined
      ? 'no header'
      : `chunk ${header.index + 1}/${header.count}, ${header.chunkBytes} of ${header.totalBytes} bytes`
  const parts = [chunk]
  if (asked !== undefined) {
    parts.push(
      `call module ${asked.module} method ${asked.method} sequence ${asked.sequence} body ${hexOf(asked.body)}`,
    )
  }
  if (response !== undefined) {
    parts.push(`answer ${name} sequence ${response.sequence} body ${hexOf(response.body)}`)
  }
  if (fault !== undefined) parts.push(fault)
  await out.line(printable(parts.join(': ')))
}

/** Bytes are hex already; the rest is JSON. */
function textOf(answer: unknown): string {
  return typeof answer === 'string' ? answer : JSON.stringify(answer)
}

/** Beyond 2^53 a number of JSON would be another one. */
function numberOrText(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
}

function hexOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString('hex')
}

function bytesOf(hex: string): Uint8Array {
  if (/^(?:[0-9a-f]{2})*$/i.test(hex)) return Buffer.from(hex, 'hex')
  throw new UsageError(`"${hex.slice(0, 40)}" is not hex: two digits a byte.`)
}

function modeOf(text: string): number {
  if (/^[0-7]{3,4}$/.test(text)) return Number.parseInt(text, 8)
  throw new UsageError(`--mode needs three octal digits, like 600, not "${text}".`)
}

function numberOf(word: string): number {
  const value = Number(word)
  if (word.trim() !== '' && (value | 0) === value) return value
  throw new UsageError(`Modules and methods are whole numbers, not "${word}".`)
}
