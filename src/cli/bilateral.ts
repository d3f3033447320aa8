import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Bilateral, gob, newKeypair, type Keypair, type Replies } from '../dialects/bilateral/index.ts'
import { ConclaveError } from '../errors/index.ts'
import type { Given } from './args.ts'
import { EXIT, sentenceOf, UsageError } from './exit.ts'
import { printable } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

/** As existing nodes declare them in Go; without it a zero would not arrive. */
const SUM_DIFF = {
  args: gob.struct('Args', { A: gob.int(), B: gob.int() }),
  reply: gob.struct('Reply', { S: gob.int(), D: gob.int() }),
}

export const bilateral: Verb = {
  usage: `node --name NAME | --keys FILE [--listen ADDRESSES] [--connect NAME@ADDRESS,…] [options]
       conclave bilateral keys FILE`,
  about: `Calls between equal, named peers over ZeroMQ, in the clear (--name) or with CURVE (--keys: the name is the public key).
node     is a peer that offers Echo.Echo and Arith.SumDiff {"A":1,"B":2}, and reads commands from standard input:
         call <name,…|*> <Type.method> [JSON]   cast <name,…|*> <Type.method> [JSON]   peers
         It ends with its input (--keep: not).
keys     makes a pair of keys: a new file, for you alone.`,
  words: [1, 2],
  options: {
    name: { type: 'string', value: 'NAME', help: 'of this node, without keys' },
    keys: { type: 'string', value: 'FILE', help: 'the keys of this node' },
    network: { type: 'string', value: 'NAME', help: 'of the network (default: conclave)' },
    listen: { type: 'string', value: 'ADDRESSES', help: 'tcp://127.0.0.1:*, ipc:///run/x, with commas' },
    connect: {
      type: 'string',
      value: 'PEERS',
      help: 'name@address, with commas; with keys, the name is the public key',
    },
    allow: { type: 'string', value: 'KEYS', help: 'with --keys: who may connect, with commas (default: every key)' },
    codec: { type: 'string', value: 'CODEC', help: 'gob, as existing nodes (default), or json' },
    wait: { type: 'string', value: 'N', help: 'read commands when so many peers are connected' },
    timeout: { type: 'string', value: 'MS', help: 'how long a call waits for answers (default: 2000)' },
    keep: { type: 'boolean', help: 'go on when standard input ends' },
  },
  examples: [
    'conclave bilateral node --name a --listen tcp://127.0.0.1:5555 --keep',
    `echo 'call * Arith.SumDiff {"A":1,"B":2}' | conclave bilateral node --name b --connect a@tcp://127.0.0.1:5555 --wait 1`,
  ],
  run: (given, around) => {
    const [what = '', word] = given.words
    if (what === 'node' && word === undefined) return run(given, around)
    if (what === 'keys' && word !== undefined) return makeKeys(word, given, around)
    throw new UsageError('It reads: conclave bilateral node --name NAME, or conclave bilateral keys FILE.')
  },
}

async function makeKeys(path: string, given: Given, { out }: Surroundings): Promise<number> {
  const keys = await newKeypair()
  // Not over an existing one: peers know its public key.
  const fd = openSync(path, 'wx', 0o600)
  writeSync(fd, `${JSON.stringify(keys, undefined, 2)}\n`)
  closeSync(fd)
  if (given.has('json')) await out.json({ publicKey: keys.publicKey })
  else await out.line(keys.publicKey)
  return EXIT.ok
}

async function run(given: Given, { out, err, signal }: Surroundings): Promise<number> {
  const json = given.has('json')
  await using node = await nodeOf(given, (error) => void err.line(`conclave: ${printable(error.message)}`))
  node.register({
    'Echo.Echo': (args: unknown) => args,
    'Arith.SumDiff': ({ A = 0, B = 0 }: { A?: number; B?: number }) => ({ S: A + B, D: A - B }),
  })
  const addresses = await node.listenOn(...listOf(given.text('listen')))
  for (const peer of listOf(given.text('connect'))) node.connectTo(...peerOf(peer))
  if (json) await out.json({ name: node.name, listening: addresses })
  else await err.line([`I am ${node.name}.`, ...addresses.map((address) => `Listening at ${address}.`)].join(' '))
  const wait = given.number('wait')
  if (wait !== undefined) await node.connected(wait, { signal })
  const code = await obey(node, given, { out, err, signal })
  if (given.has('keep') && !signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
  signal.throwIfAborted()
  return code
}

function nodeOf(given: Given, onError: (error: Error) => void): Promise<Bilateral> {
  const [name, file] = [given.text('name'), given.text('keys')]
  const network = given.text('network') ?? 'conclave'
  const codec = given.text('codec') ?? 'gob'
  if (codec !== 'gob' && codec !== 'json') throw new UsageError(`--codec needs gob or json, not "${codec}".`)
  const options = { codec, onError, types: { 'Arith.SumDiff': SUM_DIFF } } as const
  if (file === undefined && name !== undefined) return Bilateral.plaintext(network, name, options)
  if (file === undefined || name !== undefined) throw new UsageError('Who is it? --name NAME, or --keys FILE.')
  const { publicKey, secretKey } = readKeys(file)
  const allow = given.text('allow')
  return Bilateral.encrypted(network, publicKey, secretKey, {
    ...options,
    ...(allow === undefined ? {} : { allow: listOf(allow) }),
  })
}

function readKeys(path: string): Keypair {
  try {
    const { publicKey, secretKey } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Keypair>
    if (typeof publicKey === 'string' && typeof secretKey === 'string') return { publicKey, secretKey }
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`)
  }
  throw new UsageError(`${path} holds no keys: conclave bilateral keys FILE makes some.`)
}

function listOf(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((part) => part !== '')
}

/** A name may hold any sign but a comma, also `@`. */
function peerOf(text: string): [name: string, address: string] {
  const [, name, address] = /^(.+)@((?:tcp|ipc):\/\/.+)$/.exec(text) ?? []
  if (name !== undefined && address !== undefined) return [name, address]
  throw new UsageError(`--connect needs NAME@ADDRESS, not "${text}".`)
}

/** What gob has and JSON has not: as text, as an object, in hex. */
function inJson(this: unknown, key: string, value: unknown): unknown {
  const own = (this as Record<string, unknown>)[key]
  if (own instanceof Uint8Array) return Buffer.from(own).toString('hex')
  if (value instanceof Map) return Object.fromEntries(value)
  return typeof value === 'bigint' ? String(value) : value
}

/** @returns the exit code: that of the last command */
async function obey(
  node: Bilateral,
  given: Given,
  { out, err, signal }: Pick<Surroundings, 'out' | 'err' | 'signal'>,
): Promise<number> {
  const lines = createInterface({ input: process.stdin, signal })
  let code: number = EXIT.ok
  for await (const line of lines) {
    const command = /^\s*(\S+)(?:\s+(\S+)\s+(\S+)\s*(.*))?$/.exec(line)
    if (command === null) continue
    try {
      const answer = await answerOf(node, given, command)
      await out.line(printable(JSON.stringify(answer, inJson)))
      code = EXIT.ok
    } catch (error) {
      await err.line(`conclave: ${printable(sentenceOf(error))}`)
      code = error instanceof UsageError ? EXIT.usage : EXIT.error
    }
  }
  return code
}

async function answerOf(node: Bilateral, given: Given, command: readonly string[]): Promise<unknown> {
  const [, what, names = '', method = '', text = ''] = command
  if (what === 'peers' && names === '') return node.peers()
  if ((what !== 'call' && what !== 'cast') || method === '') {
    throw new UsageError('It reads: call <name,…|*> <Type.method> [JSON], cast …, or peers.')
  }
  const to = names === '*' ? [] : listOf(names)
  const args = argsOf(text)
  if (what === 'cast') return { missing: (await node.cast(to, method, args)).map(plainMissing) }
  return plainReplies(await node.call(to, method, args, { timeoutMs: given.number('timeout', { min: 1 }) }))
}

function argsOf(text: string): unknown {
  try {
    return text.trim() === '' ? {} : (JSON.parse(text) as unknown)
  } catch (error) {
    throw new UsageError(`The arguments must be JSON: ${(error as Error).message}.`)
  }
}

function plainReplies(replies: Replies): object {
  return {
    replies: replies.map(({ from, reply, err }) => (err === undefined ? { from, reply } : { from, error: plain(err) })),
    missing: replies.missing.map(plainMissing),
  }
}

function plainMissing({ name, err }: { readonly name: string; readonly err: ConclaveError }): object {
  return { name, error: plain(err) }
}

function plain({ code, message }: ConclaveError): object {
  return { code, message }
}
