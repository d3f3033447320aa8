import type { Quantity, Results } from './support/rows.ts'

/** What a release has to reach: a ratio of two rows of one run, or the value of one row. */
export interface Target {
  readonly text: string
  readonly of: Quantity
  /** Left out: the value itself counts. */
  readonly over?: Quantity
  readonly atMost?: number
  readonly atLeast?: number
}

export interface Verdict {
  readonly case: string
  readonly text: string
  readonly wanted: string
  /** Null: not measured in this run. */
  readonly value: number | null
  readonly met: boolean | null
}

const of = (benchCase: string, metric: string, subject = 'conclave'): Quantity => ({ case: benchCase, subject, metric })
const over = (benchCase: string, metric: string, subject: string) => ({
  of: of(benchCase, metric),
  over: of(benchCase, metric, subject),
})

// On one core: where the kernel puts two processes, or three, decides more than what they do.
const LATENCY = 'p50 64 B, one core'

function sqliteTargets(): Target[] {
  const least = { full: [0.9, 4], normal: [0.35, 1.2] } as const
  return (['full', 'normal'] as const).flatMap((level): Target[] => {
    const [single, many] = least[level]
    const theirs = of('sqlite', `writes/s, ${level}`, 'node:sqlite')
    const mine = (metric: string): Quantity => of('sqlite', metric)
    return [
      { text: `writes/s, ${level}, one in flight`, of: mine(`writes/s, ${level}`), over: theirs, atLeast: single },
      {
        text: `writes/s, ${level}, 32 in flight`,
        of: mine(`writes/s, ${level}, 32 in flight`),
        over: theirs,
        atLeast: many,
      },
      { text: `worst wait, ${level}`, ...over('sqlite', `worst wait, ${level}`, 'node:sqlite'), atMost: 0.05 },
      { text: `slowest process over the fastest, ${level}`, of: mine(`slowest over fastest, ${level}`), atLeast: 0.8 },
      { text: `SQLITE_BUSY, ${level}`, of: mine(`busy, ${level}`), atMost: 0 },
      {
        text: `one writer over batches of one process, ${level}`,
        ...over('sqlite', `one writer, ${level}`, 'node:sqlite'),
        atLeast: 0.6,
      },
      {
        text: `p99 of calls while writes run, ${level}`,
        of: mine(`calls p99 while writes run, ${level}`),
        over: mine(`calls p99 idle, ${level}`),
        atMost: 3,
      },
    ]
  })
}

export const TARGETS: readonly Target[] = [
  { text: 'p50 of 64 B over node:net', ...over('rpc-latency', LATENCY, 'node:net'), atMost: 1.35 },
  { text: 'p50 of 64 B over vscode-jsonrpc', ...over('rpc-latency', LATENCY, 'vscode-jsonrpc'), atMost: 0.4 },
  { text: 'p50 of 64 B over zeromq', ...over('rpc-latency', LATENCY, 'zeromq'), atMost: 0.45 },
  { text: 'p50 of 64 B over NATS', ...over('rpc-latency', LATENCY, 'nats'), atMost: 0.2 },
  { text: 'p50 of 64 B over grpc-js', ...over('rpc-latency', LATENCY, 'grpc-js'), atMost: 0.12 },
  { text: 'calls/s over vscode-jsonrpc', ...over('rpc-throughput', 'calls/s', 'vscode-jsonrpc'), atLeast: 6 },
  { text: 'calls/s over grpc-js', ...over('rpc-throughput', 'calls/s', 'grpc-js'), atLeast: 25 },
  { text: 'calls/s over zeromq', ...over('rpc-throughput', 'calls/s', 'zeromq'), atLeast: 3 },
  { text: 'calls/s over NATS', ...over('rpc-throughput', 'calls/s', 'nats'), atLeast: 3 },
  { text: 'delivered to 1 over NATS', ...over('fanout', 'to 1', 'nats'), atLeast: 2 },
  { text: 'delivered to 8 over NATS', ...over('fanout', 'to 8', 'nats'), atLeast: 3 },
  ...['to 1', 'to 8', 'to 32'].flatMap((metric): Target[] => [
    { text: `delivered ${metric} over zeromq`, ...over('fanout', metric, 'zeromq'), atLeast: 3 },
    { text: `delivered ${metric} over a raw relay of messages`, ...over('fanout', metric, 'node:net'), atLeast: 0.5 },
    {
      text: `delivered ${metric} over a raw relay of bytes`,
      ...over('fanout', metric, 'node:net, bytes'),
      atLeast: 0.5,
    },
  ]),
  {
    text: 'p50 over a direct call',
    of: of('relay', 'p50, one core'),
    over: of('relay', 'p50, one core', 'conclave, direct'),
    atMost: 1.9,
  },
  ...sqliteTargets(),
  { text: '1 MiB bodies over node:net', ...over('big', 'bodies', 'node:net'), atLeast: 0.7 },
  { text: 'median to the next call, ms', of: of('failover', 'to the next call'), atMost: 30 },
  { text: 'p99 to the next call, ms', of: of('failover', 'to the next call, p99'), atMost: 150 },
  {
    text: 'join as secondary over an empty start, ms',
    of: of('join', 'join as secondary, over an empty start'),
    atMost: 15,
  },
  {
    text: 'join as primary over an empty start, ms',
    of: of('join', 'join as primary, over an empty start'),
    atMost: 15,
  },
  { text: 'import over an empty start, ms', of: of('join', 'import, over an empty start'), atMost: 15 },
  { text: 'a member over a bare Node, MiB', of: of('memory', 'over a bare Node'), atMost: 10 },
  { text: 'a hub with 1,000 links, MiB', of: of('memory', 'a hub with 1,000 links'), atMost: 150 },
  ...['p50, one busy', 'CPU, one busy', 'p50, all in turn', 'CPU, all in turn'].map((what): Target => ({
    text: `${what}: 1,000 links over 10`,
    of: of('scale', `${what} of 1000`),
    over: of('scale', `${what} of 10`),
    atMost: 1.25,
  })),
  { text: 'CPU of 20 idle members, % of a core', of: of('idle', 'CPU of 20'), atMost: 0.5 },
  { text: 'call over a C echo', ...over('drpc', 'p50', 'C echo'), atMost: 2.5 },
  { text: '8 MiB bodies one way, MB/s', of: of('drpc', 'one way'), atLeast: 400 },
  { text: 'calls lost of 100 sessions', of: of('drpc', 'lost'), atMost: 0 },
  ...['published/s', 'events/s', 'calls/s'].map((metric): Target => ({
    text: `${metric} over bare zeromq`,
    ...over('zmq', metric, 'zeromq'),
    atLeast: 0.85,
  })),
  ...['event p50', 'call p50'].map((metric): Target => ({
    text: `${metric} over bare zeromq`,
    ...over('zmq', metric, 'zeromq'),
    atMost: 1.2,
  })),
]

/** Of the cases that ran. */
export function judge(results: Results, cases: ReadonlySet<string>): Verdict[] {
  return TARGETS.filter((target) => cases.has(target.of.case)).map((target) => {
    const value = target.over === undefined ? results.value(target.of) : results.ratio(target.of, target.over)
    const { atMost = Infinity, atLeast = -Infinity } = target
    const sign = target.over === undefined ? '' : 'x'
    const wanted = target.atMost === undefined ? `at least ${atLeast}${sign}` : `at most ${atMost}${sign}`
    const met = value === undefined ? null : value <= atMost && value >= atLeast
    return { case: target.of.case, text: target.text, wanted, value: value ?? null, met }
  })
}
