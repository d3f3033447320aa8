// Bilateral RPC against bare zeromq.js with the same frames, in one run, interleaved: node bench/bilateral.ts [--json] [--quick].
// Two processes a subject, ROUTER to ROUTER over TCP on the loopback. Ratios count, absolute figures do not.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Router } from 'zeromq'
import { Bilateral } from '../src/dialects/bilateral/index.ts'
import { plainTable, ROW_HEADS, rowCells } from './support/table.ts'
import type { Row } from './support/rows.ts'
import { median, quantile } from './support/statistics.ts'

const CASE = 'bilateral'
const METHOD = 'Echo.echo'
const ARGS = { n: 12_345, text: 'x'.repeat(48) }
const IN_FLIGHT = 100
/** The same frames, made beforehand and not looked at. */
const BARE = 'zeromq'
/** The same frames made from values, and values from frames. */
const BARE_JSON = 'zeromq, JSON'
const OURS = 'conclave/bilateral'
/** What has to be reached, over bare zeromq.js. */
const AIMS = { 'calls/s': { atLeast: 0.85 }, 'p50 1 in flight': { atMost: 1.2 } } as const

interface Caller {
  call(): Promise<unknown>
}

/** The frames as our json codec writes them. */
const FIRST_ID = 123_456_789_012
type Call = [id: number, method: string, args: unknown]
const answerTo = ([id, method, args]: Call): string => JSON.stringify([id, method, null, args])
const CALL_DATA = JSON.stringify([FIRST_ID, METHOD, ARGS])
const BACK_DATA = answerTo([FIRST_ID, METHOD, ARGS])

async function serve(subject: string): Promise<string> {
  if (subject === OURS) {
    const node = await Bilateral.plaintext('bench', 'server', { codec: 'json' })
    node.register({ [METHOD]: (args: unknown) => args })
    const [address = ''] = await node.listenOn('tcp://127.0.0.1:*')
    return address
  }
  const socket = new Router({ routingId: 'server', handover: true, sendTimeout: 0 })
  await socket.bind('tcp://127.0.0.1:*')
  void (async () => {
    for await (const [from, , data] of socket) {
      await socket.send([from!, 'BACK', subject === BARE ? BACK_DATA : answerTo(JSON.parse(data!.toString()) as Call)])
    }
  })()
  return socket.lastEndpoint ?? ''
}

async function connect(subject: string, address: string): Promise<Caller> {
  if (subject === OURS) {
    const node = await Bilateral.plaintext('bench', 'client', { codec: 'json' })
    node.connectTo('server', address)
    await node.connected('server')
    return { call: () => node.callOne('server', METHOD, ARGS, 60_000) }
  }
  const socket = new Router({ routingId: 'client', handover: true, sendTimeout: 0, mandatory: true })
  const up = new Promise((resolve) => socket.events.on('handshake', resolve))
  socket.connect(address)
  await up
  const waiting: ((value: unknown) => void)[] = []
  void (async () => {
    for await (const [, , data] of socket) {
      waiting.shift()?.(subject === BARE ? data : (JSON.parse(data!.toString()) as unknown[])[3])
    }
  })()
  return {
    call: () =>
      new Promise((resolve, reject) => {
        waiting.push(resolve)
        const data = subject === BARE ? CALL_DATA : JSON.stringify([FIRST_ID, METHOD, ARGS])
        socket.send(['server', 'CALL', data]).catch(reject)
      }),
  }
}

interface Figures {
  readonly 'calls/s': number
  readonly 'p50 1 in flight': number
  readonly 'p99 1 in flight': number
}

async function measure({ call }: Caller, calls: number): Promise<Figures> {
  let left = calls
  const begin = performance.now()
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (left-- > 0) await call()
    }),
  )
  const seconds = (performance.now() - begin) / 1000
  const times = new Float64Array(Math.ceil(calls / 10))
  for (let at = 0; at < times.length; at++) {
    const start = performance.now()
    await call()
    times[at] = (performance.now() - start) * 1000
  }
  return { 'calls/s': calls / seconds, 'p50 1 in flight': median(times), 'p99 1 in flight': quantile(times, 0.99) }
}

function child(subject: string): void {
  let caller: Caller | undefined
  process.on('message', ({ address, calls }: { address?: string; calls?: number }) => {
    void (async () => {
      if (address === undefined && calls === undefined) process.send?.({ address: await serve(subject) })
      else if (address !== undefined) {
        caller = await connect(subject, address)
        process.send?.({ connected: true })
      } else process.send?.(await measure(caller!, calls!))
    })()
  })
}

interface Pair {
  readonly client: ChildProcess
  readonly server: ChildProcess
}

async function ask<T>(side: ChildProcess, message: object): Promise<T> {
  side.send(message)
  return ((await once(side, 'message')) as [T])[0]
}

async function start(subject: string): Promise<Pair> {
  const [server, client] = [fork(import.meta.filename, [subject]), fork(import.meta.filename, [subject])]
  for (const side of [server, client]) {
    side.once('exit', () => {
      throw new Error(`A side of ${subject} ended.`)
    })
    process.once('exit', () => side.kill('SIGKILL'))
  }
  const { address } = await ask<{ address: string }>(server, {})
  await ask(client, { address })
  return { client, server }
}

async function main(): Promise<void> {
  const quick = process.argv.includes('--quick')
  const [rounds, calls] = quick ? [2, 1_000] : [9, 30_000]
  const subjects = new Map<string, Pair>()
  for (const subject of [BARE, BARE_JSON, OURS]) subjects.set(subject, await start(subject))
  const all = new Map<string, Figures[]>([...subjects.keys()].map((subject) => [subject, []]))
  for (let round = -1; round < rounds; round++) {
    for (const [subject, { client }] of subjects) {
      const figures = await ask<Figures>(client, { calls })
      if (round >= 0) all.get(subject)?.push(figures)
    }
  }
  const rows = [...all.keys()].flatMap((subject) => rowsOf(subject, all))
  if (process.argv.includes('--json')) console.log(JSON.stringify(rows))
  else console.log(plainTable(ROW_HEADS, rows.map(rowCells)))
  for (const [metric, aim] of Object.entries(AIMS)) {
    const wanted = 'atLeast' in aim ? `at least ${aim.atLeast}x` : `at most ${aim.atMost}x`
    const over = (subject: string): string => {
      const row = rows.find((one) => one.subject === subject && one.metric === metric)
      return `${(1 / (row?.vsUs ?? Number.NaN)).toFixed(2)}x of ${subject}`
    }
    if (!process.argv.includes('--json')) console.log(`${metric}: ${over(BARE)}, ${over(BARE_JSON)} (aim: ${wanted})`)
  }
  process.exit(0)
}

function rowsOf(subject: string, all: ReadonlyMap<string, Figures[]>): Row[] {
  const mine = all.get(subject) ?? []
  return (['calls/s', 'p50 1 in flight', 'p99 1 in flight'] as const).map((metric) => {
    const values = mine.map((figures) => figures[metric])
    const over = (other: string): number =>
      median(values.map((value, round) => value / (all.get(other)?.[round]?.[metric] ?? Number.NaN)))
    return {
      case: CASE,
      subject,
      metric,
      unit: metric === 'calls/s' ? '1/s' : 'us',
      value: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      runs: values.length,
      vsFloor: over(BARE),
      vsUs: over(OURS),
    }
  })
}

const [subject] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
if (process.send === undefined || subject === undefined) await main()
else child(subject)
