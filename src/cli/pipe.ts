import { resolve } from 'node:path'
import { addAbortSignal } from 'node:stream'
import {
  bufferedSender,
  listen,
  MemoryFactStore,
  message,
  openSwarm,
  SqliteFactStore,
  type FactStore,
  type PipeMessage,
  type SwarmOptions,
  type SyncResult,
} from '../dialects/pipe/index.ts'
import { ConclaveError } from '../errors/index.ts'
import { LineReader } from '../wire/lines.ts'
import type { Given } from './args.ts'
import { EXIT, UsageError } from './exit.ts'
import type { Surroundings, Verb } from './verb.ts'

const STORE_MS = 5_000

export const pipe: Verb = {
  usage: 'listen|send|swarm <name|folder> [--dir FOLDER] [options]',
  about: `Typed newline-JSON messages between processes of one user, compatible with the existing pipes (docs/dialects.md).
listen <name>   prints messages as JSON lines until it is ended.
send <name>     sends JSON lines of standard input: whole messages ({"type":…}), or with --type T payloads. It waits for
                a listener, survives its restart, and says at the end what was not delivered (exit 1).
swarm <folder>  shares facts: the first one in a folder listens until it is ended, the others exchange once and end.`,
  words: [2, 2],
  options: {
    dir: {
      type: 'string',
      value: 'FOLDER',
      help: 'listen, send: where the sockets lie (default: as the existing system)',
    },
    limit: { type: 'string', value: 'N', help: 'listen: end after so many messages' },
    any: { type: 'boolean', help: 'listen: messages of every type' },
    type: { type: 'string', value: 'TYPE', help: 'send: lines are payloads of this type' },
    timeout: { type: 'string', value: 'MS', help: 'send: how long to deliver what is left at the end (default 5000)' },
    node: { type: 'string', value: 'NAME', help: 'swarm: what others call us by' },
    db: { type: 'string', value: 'FILE', help: 'swarm: facts lie in this SQLite file (default: in memory)' },
    fact: { type: 'string', value: 'TEXT', help: 'swarm: a fact to begin with' },
  },
  examples: ['conclave pipe listen alerts', `echo '{"level":3}' | conclave pipe send alerts --type soc_event`],
  run: (given, around) => {
    const [what = '', word = ''] = given.words
    if (what === 'listen') return print(word, given, around)
    if (what === 'send') return send(word, given, around)
    if (what === 'swarm') return swarm(word, given, around)
    throw new UsageError(`There is no "pipe ${what}": listen, send or swarm.`)
  },
}

function directoryOf(given: Given): string | undefined {
  const dir = given.text('dir')
  return dir === undefined ? undefined : resolve(dir)
}

async function print(name: string, given: Given, { out, err, signal }: Surroundings): Promise<number> {
  let left = given.number('limit', { min: 1 }) ?? Infinity
  await using listener = await listen(name, {
    directory: directoryOf(given),
    unknownTypes: given.has('any') ? 'deliver' : 'skip',
    onError: (error) => void err.line(`conclave: ${error.message}`),
  })
  await err.line(`Listening at ${listener.path}.`)
  for await (const one of untilAborted(listener.messages({ signal }), signal)) {
    await out.json(one)
    if (--left <= 0 || out.broken) break
  }
  signal.throwIfAborted()
  return EXIT.ok
}

/** What ends a loop by the verb's own signal is no error of the loop. */
async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  try {
    yield* items
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function send(name: string, given: Given, { out, err, signal }: Surroundings): Promise<number> {
  const type = given.text('type')
  const sender = bufferedSender(name, {
    directory: directoryOf(given),
    closeTimeoutMs: given.number('timeout', { min: 1 }),
  })
  let failed = 0
  const skip = (text: string): void => {
    failed++
    void err.line(`conclave: ${text}`)
  }
  const lines: string[] = []
  const reader = new LineReader({
    onLine: (text) => lines.push(text),
    onTooLong: (bytes) => skip(`A line of ${bytes} bytes was skipped.`),
    onInvalid: () => skip('A line that is not UTF-8 was skipped.'),
  })
  const sendAll = async (): Promise<void> => {
    for (const line of lines.splice(0)) {
      if (line.trim() === '') continue
      const next = messageOf(line, type)
      if (typeof next === 'string') skip(next)
      else {
        await sender.send(next as never, { wait: true, signal }).catch((error: unknown) => {
          if (!ConclaveError.is(error, 'FRAME_TOO_LARGE')) throw error
          skip(error.message)
        })
      }
    }
  }
  try {
    for await (const chunk of addAbortSignal(signal, process.stdin) as AsyncIterable<Uint8Array>) {
      reader.push(chunk)
      await sendAll()
    }
    if (reader.pendingBytes > 0) reader.push(new Uint8Array([10]))
    await sendAll()
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    const report = await sender.close({ signal })
    if (given.has('json')) await out.json(report)
    if (report.undelivered > 0) await err.line(`conclave: ${report.undelivered} messages were not delivered.`)
    failed += report.undelivered
  }
  signal.throwIfAborted()
  return failed > 0 ? EXIT.error : EXIT.ok
}

/** The message of a line, or what is wrong with it. */
function messageOf(line: string, type: string | undefined): PipeMessage | string {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'A line that is no JSON was skipped.'
  }
  if (type !== undefined) return message(type, value)
  const own = (value ?? {}) as Partial<PipeMessage> & { readonly ack?: unknown; readonly auto?: unknown }
  if (typeof own.type !== 'string') return 'A line without a type was skipped; --type gives all of them one.'
  // These two are for the library to say: a message that came with one would count as none.
  const { ack: _, auto: __, ...rest } = own
  return { ...message(own.type, own.payload), ...rest }
}

async function swarm(folder: string, given: Given, { out, signal }: Surroundings): Promise<number> {
  const { store, close } = await storeOf(given)
  try {
    const text = given.text('fact')
    if (text !== undefined) await store.merge([newFact(text)])
    const options: SwarmOptions = {
      directory: resolve(folder),
      store,
      node: given.text('node'),
      onSync: (result) => void tell(result, store, out),
    }
    await using transport = await openSwarm(options)
    if (!transport.isListening) {
      await tell(transport.lastSync as SyncResult, store, out)
      return EXIT.ok
    }
    await out.json({ listening: transport.path, peerId: transport.peerId })
    await new Promise<void>((done) => signal.addEventListener('abort', () => done()))
    signal.throwIfAborted()
    return EXIT.ok
  } finally {
    close()
  }
}

async function tell(result: SyncResult, store: FactStore, out: Surroundings['out']): Promise<void> {
  const { synced, reason, peer, sent, merged, tooLarge } = result
  const facts = (await store.facts()).length
  await out.json({
    synced,
    reason,
    node: peer?.node,
    trust: peer?.trust,
    sent,
    merged,
    tooLarge: tooLarge.length,
    facts,
  })
}

async function storeOf(given: Given): Promise<{ readonly store: FactStore; readonly close: () => void }> {
  const file = given.text('db')
  if (file === undefined) return { store: new MemoryFactStore(), close: () => {} }
  const { DatabaseSync } = await import('node:sqlite')
  let database
  try {
    database = new DatabaseSync(file)
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = ${STORE_MS}`)
  } catch (cause) {
    throw new ConclaveError('INVALID_OPTION', `${file} can't be opened: ${(cause as Error).message}.`, { cause })
  }
  const opened = database
  return { store: new SqliteFactStore(opened), close: () => opened.close() }
}

function newFact(content: string): Parameters<FactStore['merge']>[0][number] {
  const id = crypto.randomUUID().replaceAll('-', '')
  return { id, content, level: 0, isGene: false, source: 'manual', createdAt: new Date().toISOString() }
}
