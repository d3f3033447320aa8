import type { Verb } from './verb.ts'

export interface VerbEntry {
  readonly summary: string
  load(): Promise<Verb>
}

/** One file a verb, loaded when it is asked for. */
export const VERBS: ReadonlyMap<string, VerbEntry> = new Map<string, VerbEntry>([
  [
    'demo',
    entry(
      'watch it work: processes index a folder and carry on while some are killed',
      async () => (await import('./demo.ts')).demo,
    ),
  ],
  ['status', entry('who is here, what waits, what was lost', async () => (await import('./status.ts')).status)],
  ['tail', entry('print events as they come', async () => (await import('./tail.ts')).tail)],
  ['publish', entry('publish one event', async () => (await import('./publish.ts')).publish)],
  ['call', entry('call a method and print its result', async () => (await import('./call.ts')).call)],
  ['db', entry("read or write the workspace's database", async () => (await import('./db.ts')).db)],
  [
    'lock',
    entry('run a command in one process of the workspace at a time', async () => (await import('./lock.ts')).lock),
  ],
  [
    'eventbus',
    entry(
      'the newline-JSON event bus: serve, consume, status, stop, list',
      async () => (await import('./eventbus.ts')).eventbus,
    ),
  ],
  [
    'pipe',
    entry('typed messages between processes: listen, send, swarm', async () => (await import('./pipe.ts')).pipe),
  ],
  [
    'bilateral',
    entry('calls between named peers over ZeroMQ: node, keys', async () => (await import('./bilateral.ts')).bilateral),
  ],
  ['drpc', entry('call, serve and explain dRPC over a Unix socket', async () => (await import('./drpc.ts')).drpc)],
  ['zmq', entry('a ZeroMQ bus: serve, subscribe, call, publish', async () => (await import('./zmq.ts')).zmq)],
])

function entry(summary: string, load: () => Promise<Verb>): VerbEntry {
  return { summary, load }
}
