import { resolve } from 'node:path'
import {
  acquireLock,
  addressOf,
  Bus,
  Client,
  endpointsForPath,
  newKeys,
  portsForPath,
  readLock,
  rpcBeside,
  type BusAddress,
  type BusLock,
} from '../dialects/zeromq/index.ts'
import { ConclaveError } from '../errors/index.ts'
import { LineReader } from '../wire/lines.ts'
import type { Given } from './args.ts'
import { EXIT, UsageError } from './exit.ts'
import { readJson } from './input.ts'
import { printable } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

/** The method by which `publish` hands an event to `serve`. */
const PUBLISH = 'zmq.publish'

export const zmq: Verb = {
  usage: 'serve|subscribe|call|publish [word…] [--dir FOLDER | --endpoint URL] [options]',
  about: `The ZeroMQ bus, compatible with existing programs (docs/dialects.md). It needs the package zeromq.
serve      is the bus of a folder: takes its lock, binds on Unix sockets that only you can use, or with --tcp on the ports
           that existing programs use. Lines {"topic":"a.b","payload":…} on standard input are published.
           Methods: instance.ping, instance.info, and echo with --echo. It runs until it is stopped.
subscribe  [prefix…]: prints events as JSON lines. missed says how many were lost right before one, null: nobody knows.
call       <method> [params as JSON, or -]: prints the result.
publish    <topic> [payload as JSON, or -]: by the bus that "conclave zmq serve" runs.`,
  words: [1, 33],
  options: {
    dir: { type: 'string', value: 'FOLDER', help: 'whose bus (default: .); found by its lock file' },
    folder: { type: 'string', value: 'NAME', help: 'where its lock file lies (default: .pando)' },
    file: { type: 'string', value: 'NAME', help: 'its name (default: ipc.lock)' },
    endpoint: {
      type: 'string',
      value: 'URL',
      help: 'of its events: ipc:///path or tcp://host:port, instead of a folder',
    },
    rpc: { type: 'string', value: 'URL', help: 'of its calls (default: beside --endpoint)' },
    key: { type: 'string', value: 'KEY', help: 'the public CURVE key of the bus, for --endpoint' },
    insecure: { type: 'boolean', help: 'TCP without keys: every user of this machine can listen and call' },
    tcp: { type: 'boolean', help: 'serve: on TCP, with keys of its own unless --insecure' },
    id: { type: 'string', value: 'ID', help: 'serve: the instance id' },
    echo: { type: 'boolean', help: 'serve: a method "echo" that gives back what it got' },
    limit: { type: 'string', value: 'N', help: 'subscribe: end after so many events' },
    timeout: { type: 'string', value: 'MS', help: 'call, publish: patience (default 10000)' },
    session: { type: 'string', value: 'ID', help: 'publish: the session it belongs to' },
  },
  examples: [
    'conclave zmq serve --dir . --echo',
    'conclave zmq call echo \'{"a":1}\'',
    'conclave zmq subscribe session. llm. | jq .payload',
    'conclave zmq publish session.update \'{"id":7}\'',
  ],
  run: (given, around) => {
    const [what = '', ...words] = given.words
    switch (what) {
      case 'serve':
        return serve(given, around)
      case 'subscribe':
        return subscribe(words, given, around)
      case 'call':
        return call(words, given, around)
      case 'publish':
        return publish(words, given, around)
      default:
        throw new UsageError(`There is no "zmq ${what}": serve, subscribe, call or publish.`)
    }
  },
}

function placeOf(given: Given): { readonly folder: string | undefined; readonly file: string | undefined } {
  return { folder: given.text('folder'), file: given.text('file') }
}

/** Of the options, or of the folder's lock file. */
function addressFrom(given: Given): BusAddress {
  const pub = given.text('endpoint')
  const serverKey = given.text('key')
  if (pub !== undefined) {
    const rpc = given.text('rpc') ?? rpcBeside(pub)
    return { pub, ...(rpc === undefined ? {} : { rpc }), ...(serverKey === undefined ? {} : { serverKey }) }
  }
  const folder = resolve(given.text('dir') ?? '.')
  const info = readLock(folder, placeOf(given))
  if (info !== undefined) return addressOf(info)
  throw new ConclaveError('NO_PRIMARY', `${folder} has no bus: start one, or say --endpoint URL.`)
}

async function serve(given: Given, { out, err, signal }: Surroundings): Promise<number> {
  const workdir = resolve(given.text('dir') ?? '.')
  const insecure = given.has('insecure')
  const tcp = given.has('tcp')
  const keys = tcp && !insecure ? await newKeys() : undefined
  const instanceId = given.text('id') ?? `conclave-${process.pid}`
  const ports = portsForPath(workdir)
  const endpoints = tcp
    ? { pub: `tcp://127.0.0.1:${ports.pubPort}`, rpc: `tcp://127.0.0.1:${ports.rpcPort}` }
    : endpointsForPath(workdir)
  const serverKey = keys?.publicKey
  const address = { ...endpoints, ...(serverKey === undefined ? {} : { serverKey }) }
  const { lock } = await acquireLock(workdir, instanceId, tcp ? ports.pubPort : 0, tcp ? ports.rpcPort : 0, {
    ...placeOf(given),
    // What existing programs read is enough where they can connect.
    ...(tcp && insecure ? {} : { address }),
    must: true,
    signal,
  })
  try {
    return await run(given, { instanceId, insecure, lock: lock as BusLock, keys, endpoints }, { out, err, signal })
  } finally {
    lock?.close()
  }
}

interface Served {
  readonly instanceId: string
  readonly insecure: boolean
  readonly lock: BusLock
  readonly keys: Awaited<ReturnType<typeof newKeys>> | undefined
  readonly endpoints: { readonly pub: string; readonly rpc: string }
}

async function run(
  given: Given,
  { instanceId, insecure, lock, keys, endpoints }: Served,
  { out, err, signal }: Pick<Surroundings, 'out' | 'err' | 'signal'>,
): Promise<number> {
  const bus = new Bus({
    instanceId,
    insecure,
    lock,
    keys,
    onNotice: (notice) => void err.line(`conclave: ${notice.type}: ${printable(notice.error.message)}`),
  })
  bus.registerMethod('instance.ping', () => 'pong')
  bus.registerMethod('instance.info', () => ({ ...lock.info, counters: bus.counters }))
  if (given.has('echo')) bus.registerMethod('echo', (params) => params)
  bus.registerMethod(PUBLISH, (params) => {
    const { topic, payload, sessionId } = (params ?? {}) as Event
    if (typeof topic !== 'string') throw new ConclaveError('INVALID_PARAMS', 'The event lacks a topic.')
    void bus.publish(topic, payload, { sessionId })
    return null
  })
  await bus.start(endpoints)
  await (given.has('json')
    ? out.json({ listening: bus.address, instanceId, pid: process.pid })
    : err.line(`Listening at ${bus.pubAddr} and ${bus.rpcAddr}.`))
  const stop = (): void => void bus.shutdown()
  signal.addEventListener('abort', stop)
  void feed(bus, (text) => void err.line(`conclave: ${printable(text)}`))
  const why = await bus.closed
  signal.removeEventListener('abort', stop)
  if (given.has('json')) await out.json({ ended: why?.code ?? 'closed', ...bus.counters })
  signal.throwIfAborted()
  if (why !== undefined) throw why
  return EXIT.ok
}

interface Event {
  readonly topic?: unknown
  readonly payload?: unknown
  readonly sessionId?: string | undefined
}

/** Lines of standard input, until it ends; the bus goes on. */
async function feed(bus: Bus, skipped: (text: string) => void): Promise<void> {
  let lines: string[] = []
  const reader = new LineReader({
    onLine: (text) => lines.push(text),
    onTooLong: (bytes) => skipped(`a line of ${bytes} bytes was skipped`),
    onInvalid: () => skipped('a line that is not UTF-8 was skipped'),
  })
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    reader.push(chunk)
    const now = lines
    lines = []
    for (const line of now) {
      if (line.trim() === '') continue
      try {
        const { topic, payload, sessionId } = JSON.parse(line) as Event
        await bus.publish(String(topic), payload, { sessionId })
      } catch (error) {
        if (ConclaveError.is(error, 'CLOSED')) return
        skipped(`a line was skipped: ${(error as Error).message}`)
      }
    }
  }
}

function clientOf(given: Given): Client {
  return new Client({ insecure: given.has('insecure'), timeoutMs: given.number('timeout', { min: 1 }) })
}

async function subscribe(topics: readonly string[], given: Given, { out, err, signal }: Surroundings): Promise<number> {
  await using client = clientOf(given)
  const limit = given.number('limit', { min: 1 }) ?? Infinity
  const events = await nobody(
    client.subscribe(addressFrom(given), topics, {
      signal,
      onNotice: ({ type }) => {
        if (type !== 'connected') void err.line(`conclave: ${type}`)
      },
    }),
  )
  let count = 0
  for await (const event of events) {
    await out.json({ ...event, missed: Number.isFinite(event.missed) ? event.missed : null })
    if (++count >= limit || out.broken) break
  }
  signal.throwIfAborted()
  return EXIT.ok
}

async function call(words: readonly string[], given: Given, { out, signal }: Surroundings): Promise<number> {
  const [method, params, more] = words
  if (method === undefined || more !== undefined) throw new UsageError('conclave zmq call <method> [params as JSON]')
  await using client = clientOf(given)
  const json = await readJson(params, 'The params', { signal })
  await out.json(await nobody(client.call(addressFrom(given), method, json, { signal })))
  return EXIT.ok
}

async function publish(words: readonly string[], given: Given, { out, signal }: Surroundings): Promise<number> {
  const [topic, payload, more] = words
  if (topic === undefined || more !== undefined) throw new UsageError('conclave zmq publish <topic> [payload as JSON]')
  await using client = clientOf(given)
  const event = {
    topic,
    payload: (await readJson(payload, 'The payload', { signal })) ?? null,
    sessionId: given.text('session'),
  }
  await nobody(client.call(addressFrom(given), PUBLISH, event, { signal }))
  if (given.has('json')) await out.json({ published: topic })
  return EXIT.ok
}

/** The exit code for "nobody there" is that of a missing primary. */
async function nobody<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (!ConclaveError.is(error, 'DISCONNECTED') || error.outcome !== 'not-committed') throw error
    throw new ConclaveError('NO_PRIMARY', `No bus answers: ${error.message}`, { cause: error })
  }
}
