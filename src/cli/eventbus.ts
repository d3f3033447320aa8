import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import {
  busSocket,
  consume,
  decodeMessage,
  discoverBuses,
  listenBus,
  queryStatus,
  stopBus,
  type ConsumeOptions,
  type ConsumerNotice,
  type EventBus,
} from '../dialects/eventbus/index.ts'
import { ConclaveError } from '../errors/index.ts'
import { LineReader } from '../wire/lines.ts'
import type { Given } from './args.ts'
import { EXIT, UsageError } from './exit.ts'
import { printable } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

export const eventbus: Verb = {
  usage: 'serve|consume|status|stop|list [key|folder] [--socket PATH | --app ID] [options]',
  about: `The newline-JSON event bus, compatible with the existing one (docs/dialects.md).
serve    is the bus. Events are JSON lines on standard input: {"event_type":"x","event_id":"1","payload":{}}; lines of
         "type":"source_status" tell consumers of the source. It ends with its input (--keep: not), when idle, when stopped.
consume  <key> --types a,b: prints events as JSON lines. missed says how many were lost right before one, null that
         nobody knows: the bus was another in between. It looks for a lost bus until it is ended.
status, stop, list: of one bus; of one bus; running ones below a folder.`,
  words: [1, 2],
  options: {
    socket: { type: 'string', value: 'PATH', help: 'of the bus' },
    app: { type: 'string', value: 'ID', help: 'the usual socket of this app id' },
    source: { type: 'string', value: 'NAME', help: 'serve: what its source is called (default: stdin)' },
    exclusive: { type: 'string', value: 'KEYS', help: 'serve: keys for one consumer at a time, with commas' },
    idle: { type: 'string', value: 'MS', help: 'serve: end after so long without consumers (default 30000; 0: never)' },
    queue: { type: 'string', value: 'N', help: 'serve: events that wait for one consumer (default 100)' },
    keep: { type: 'boolean', help: 'serve: go on when standard input ends' },
    types: { type: 'string', value: 'TYPES', help: 'consume: event types, with commas (default: the key)' },
    param: { type: 'string', value: 'NAME=VALUE,…', help: 'consume: parameters of the subscription' },
    limit: { type: 'string', value: 'N', help: 'consume: end after so many events' },
    timeout: { type: 'string', value: 'MS', help: 'consume: end after this time, with exit 124' },
    wait: { type: 'string', value: 'MS', help: 'consume: wait for a bus (default: 0)' },
    start: { type: 'boolean', help: 'consume: start a bus when none answers' },
    setup: { type: 'string', value: 'COMMAND', help: 'consume: run by the first consumer of the subscription' },
    cleanup: { type: 'string', value: 'COMMAND', help: 'consume: run by the last one' },
    notices: { type: 'boolean', help: 'consume: gaps, lost and found buses as JSON lines among the events' },
  },
  examples: [
    'tail -F events.jsonl | conclave eventbus serve --socket /run/user/1000/my/bus.sock --keep',
    'conclave eventbus consume mail --types mail.received --socket /run/user/1000/my/bus.sock | jq .payload',
  ],
  run: (given, around) => {
    const [what = '', word] = given.words
    switch (what) {
      case 'serve':
        return serve(given, around)
      case 'consume':
        if (word === undefined) throw new UsageError('Which key? conclave eventbus consume <key> --socket PATH')
        return follow(word, given, around)
      case 'status':
        return status(given, around)
      case 'stop':
        return stop(given, around)
      case 'list':
        return list(word, given, around)
      default:
        throw new UsageError(`There is no "eventbus ${what}": serve, consume, status, stop or list.`)
    }
  },
}

function socketOf(given: Given): string {
  const socket = given.text('socket')
  const app = given.text('app')
  if (socket !== undefined && app === undefined) return resolve(socket)
  if (app !== undefined && socket === undefined) return busSocket(app)
  throw new UsageError('Say which bus: --socket PATH, or --app ID.')
}

function listOf(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((part) => part !== '')
}

async function serve(given: Given, { out, err, signal }: Surroundings): Promise<number> {
  const json = given.has('json')
  const bus = await listenBus({
    socket: socketOf(given),
    exclusive: listOf(given.text('exclusive')),
    idleExitMs: given.number('idle'),
    queueSize: given.number('queue', { min: 1 }),
    signal,
  })
  await (json ? out.json({ listening: bus.socket, pid: bus.pid }) : err.line(`Listening at ${bus.socket}.`))
  const skipped = (error: Error): void => void err.line(`conclave: ${printable(error.message)}`)
  void feed(bus, given.text('source') ?? 'stdin', skipped, signal).then(() => {
    if (!given.has('keep')) return bus.close()
  })
  const end = await bus.closed
  if (json) await out.json({ ended: end.type, ...bus.counters })
  signal.throwIfAborted()
  if (end.type === 'failed') throw end.error
  return EXIT.ok
}

/** As fast as those who read can take it. */
async function feed(bus: EventBus, name: string, skipped: (error: Error) => void, signal: AbortSignal): Promise<void> {
  const source = bus.source(name, 'connected')
  let lines: string[] = []
  const reader = new LineReader({
    onLine: (text) => lines.push(text),
    onTooLong: (bytes) => skipped(new ConclaveError('FRAME_TOO_LARGE', `A line of ${bytes} bytes was skipped.`)),
    onInvalid: () => skipped(new ConclaveError('PROTOCOL', 'A line that is not UTF-8 was skipped.')),
  })
  try {
    for await (const chunk of withLastEnd(process.stdin, reader)) {
      reader.push(chunk)
      const now = lines
      lines = []
      for (const line of now) {
        if (line.trim() === '') continue
        try {
          // A type of its own comes later in the object, and wins.
          const message = decodeMessage(line.trim().replace(/^\{/, '{"type":"event",'))
          if (message?.type === 'event') source.publish(message)
          else if (message?.type === 'source_status') source.status(message.state, message.detail)
          else skipped(new ConclaveError('PROTOCOL', 'A line is neither an event nor a source_status: skipped.'))
        } catch (error) {
          if (ConclaveError.is(error, 'CLOSED')) return
          skipped(error as Error)
        }
        if (!bus.hasRoom) await bus.room({ signal })
      }
    }
  } catch (error) {
    if (!signal.aborted) skipped(error as Error)
  }
}

/** The last line of an input may lack its end. */
async function* withLastEnd(input: AsyncIterable<Uint8Array>, reader: LineReader): AsyncGenerator<Uint8Array> {
  yield* input
  if (reader.pendingBytes > 0) yield new Uint8Array([10])
}

async function follow(eventKey: string, given: Given, { out, err, signal }: Surroundings): Promise<number> {
  const params = Object.fromEntries(
    listOf(given.text('param')).map((pair) => {
      const at = pair.indexOf('=')
      if (at <= 0) throw new UsageError(`--param needs NAME=VALUE, not "${pair}".`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
  const types = listOf(given.text('types'))
  const options: ConsumeOptions = {
    socket: socketOf(given),
    eventKey,
    eventTypes: types.length === 0 ? [eventKey] : types,
    params,
    limit: given.number('limit', { min: 1 }),
    timeoutMs: given.number('timeout', { min: 1 }),
    waitMs: given.number('wait') ?? 0,
    start: given.has('start') ? {} : undefined,
    setup: hook(given.text('setup')),
    cleanup: hook(given.text('cleanup')),
    signal,
    onNotice: (notice) => {
      if (given.has('notices')) void out.json(noticeToJson(notice))
      else if (notice.type !== 'gap') void err.line(`conclave: ${describe(notice)}`)
    },
  }
  const consumer = await consume(options).catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })
  if (given.has('notices')) await out.json({ notice: 'connected', bus: consumer.busPid, first: consumer.first })
  for await (const event of consumer) {
    await out.json({ ...event, missed: Number.isFinite(event.missed) ? event.missed : null })
    if (out.broken) break
  }
  const end = await consumer.closed
  if (given.has('notices')) await out.json({ notice: 'ended', ...end })
  else if (end.missed > 0) await err.line(`conclave: ${end.missed} events were missed.`)
  if (end.type === 'signal') signal.throwIfAborted()
  if (end.type === 'bus-gone') throw new ConclaveError('NO_PRIMARY', `The bus is gone: ${end.error.message}`)
  return end.type === 'timeout' ? EXIT.timeout : end.type === 'rejected' ? EXIT.busy : EXIT.ok
}

function noticeToJson(notice: ConsumerNotice): object {
  const { type, ...rest } = notice
  if (notice.type === 'gap') return { notice: type, missed: Number.isFinite(notice.missed) ? notice.missed : null }
  return 'error' in notice ? { notice: type, error: notice.error?.message } : { notice: type, ...rest }
}

function describe(notice: ConsumerNotice): string {
  switch (notice.type) {
    case 'source-status':
      return printable(`${notice.source} is ${notice.state}${notice.detail === undefined ? '' : `: ${notice.detail}`}`)
    case 'gap':
      return Number.isFinite(notice.missed) ? `${notice.missed} events missed` : 'events may have been missed'
    case 'disconnected':
      return 'the bus is gone; looking for the next one'
    case 'reconnected':
      return `connected to the bus with pid ${notice.pid} after ${Math.round(notice.downMs)} ms; events may be missing`
    case 'skipped':
      return printable(notice.error.message)
  }
}

function hook(command: string | undefined): ConsumeOptions['setup'] {
  if (command === undefined) return undefined
  return ({ signal }) =>
    new Promise((done, reject) => {
      const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'], signal })
      child.once('error', reject)
      child.once('close', (code, signal) => {
        if (code === 0) done()
        else reject(new ConclaveError('FAILED', `"${command}" ended with ${code ?? signal}.`))
      })
    })
}

async function status(given: Given, { out, signal }: Surroundings): Promise<number> {
  const { type: _, ...found } = await nobody(queryStatus(socketOf(given), { signal }))
  if (given.has('json')) {
    await out.json(found)
    return EXIT.ok
  }
  await out.line(`pid ${found.pid}, up ${found.uptimeSec} s, ${found.activeConns} consumers`)
  for (const { pid, eventKey, subscriptionId, received, dropped } of found.consumers) {
    await out.line(`  ${pid}  ${printable(subscriptionId ?? eventKey)}  ${received} received, ${dropped} dropped`)
  }
  return EXIT.ok
}

async function stop(given: Given, { out, signal }: Surroundings): Promise<number> {
  const socket = socketOf(given)
  await nobody(stopBus(socket, { signal }))
  if (given.has('json')) await out.json({ stopped: socket })
  return EXIT.ok
}

async function list(folder: string | undefined, given: Given, { out }: Surroundings): Promise<number> {
  const found = discoverBuses(folder === undefined ? undefined : resolve(folder))
  if (given.has('json')) await out.json(found)
  else
    for (const { app, pid, socket } of found)
      await out.line(`${printable(app)}  pid ${pid ?? '?'}  ${printable(socket)}`)
  return EXIT.ok
}

/** The exit code for "nobody there" is that of a missing primary. */
async function nobody<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (!ConclaveError.is(error, 'DISCONNECTED')) throw error
    throw new ConclaveError('NO_PRIMARY', `No bus answers: ${error.message}`, { cause: error })
  }
}
