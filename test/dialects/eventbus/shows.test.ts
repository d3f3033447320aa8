// limit: 300 s
/** The shows, through the command line. CONCLAVE_SHOW_EVENTS=100000 has its figure. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { childEnv, defer, execute, NODE_FLAGS, stateOf, until, within, type Scope } from '../../support/index.ts'
import { socketIn } from './support.ts'

const EVENTS = Number(process.env['CONCLAVE_SHOW_EVENTS'] ?? 20_000)
const VERB = [...NODE_FLAGS, join(import.meta.dirname, 'programs', 'verb.ts')]

type Line = Readonly<Record<string, unknown>>

class Verb {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly lines: Line[] = []
  stderr = ''
  /** With its exit code, when all it said is read too. */
  readonly #closed: Promise<unknown[]>

  constructor(t: Scope, args: readonly string[]) {
    this.child = spawn(process.execPath, [...VERB, ...args], { env: childEnv(), stdio: ['pipe', 'pipe', 'pipe'] })
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line) as Line))
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.child.stdin.on('error', () => {})
    const closed = once(this.child, 'close')
    closed.catch(() => {})
    this.#closed = closed
    defer(t, async () => {
      this.child.kill('SIGCONT')
      this.child.kill('SIGKILL')
      await within(closed, 'the verb to be gone')
    })
  }

  get pid(): number {
    return this.child.pid as number
  }

  find(fits: (line: Line) => boolean, what: string): Promise<Line> {
    return until(() => this.lines.find(fits), what, { seen: () => [this.lines.slice(-3), this.stderr] })
  }

  get events(): Line[] {
    return this.lines.filter((line) => 'seq' in line)
  }

  async ended(): Promise<number | null> {
    const [code] = (await within(this.#closed, 'the verb to end')) as [number | null]
    return code
  }
}

async function serve(t: Scope, socket: string): Promise<Verb> {
  const bus = new Verb(t, ['eventbus', 'serve', '--socket', socket, '--json', '--idle', '0'])
  await bus.find(({ listening }) => listening === socket, 'the bus to listen')
  return bus
}

async function consumers(t: Scope, socket: string, count: number): Promise<Verb[]> {
  const args = ['eventbus', 'consume', 'k', '--types', 'a', '--socket', socket, '--notices', '--wait', '30000']
  const all = Array.from({ length: count }, () => new Verb(t, args))
  for (const one of all) await one.find(({ notice }) => notice === 'connected', 'a consumer to be connected')
  return all
}

describe('conclave eventbus', () => {
  test(`one of three consumers is stopped: the others get all ${EVENTS} events, it gets a counted gap`, async (t) => {
    const socket = socketIn(t)
    const bus = await serve(t, socket)
    const [one, two, stopped] = (await consumers(t, socket, 3)) as [Verb, Verb, Verb]
    process.kill(stopped.pid, 'SIGSTOP')
    await until(() => stateOf(stopped.pid).startsWith('T'), 'it to be stopped')
    const events = Array.from(
      { length: EVENTS },
      (_, n) => `{"event_type":"a","event_id":"${n}","payload":{"n":${n}}}\n`,
    )
    bus.child.stdin.write(events.join(''))
    for (const other of [one, two]) {
      await until(() => other.events.length === EVENTS, 'the others to have all', { seen: () => other.events.length })
      assert.ok(other.events.every(({ seq, missed }, at) => seq === at + 1 && missed === 0))
    }
    process.kill(stopped.pid, 'SIGCONT')
    // The end of the input comes later: a bus that ends waits a second for one that has much to read, and no longer.
    bus.child.stdin.write('{"event_type":"a","payload":"end"}\n')
    await stopped.find(({ payload }) => payload === 'end', 'the stopped one to catch up')
    bus.child.stdin.end()
    const missed = stopped.events.reduce((sum, event) => sum + Number(event['missed']), 0)
    assert.equal(stopped.events.length + missed, EVENTS + 1)
    assert.ok(missed > 0)
    t.diagnostic(`the stopped one saw ${stopped.events.length} events and a gap of ${missed}`)
    assert.equal(await bus.ended(), 0)
  })

  test('the bus is killed: its consumers are back on the next one and report the gap', async (t) => {
    const socket = socketIn(t)
    const first = await serve(t, socket)
    const all = await consumers(t, socket, 3)
    first.child.kill('SIGKILL')
    for (const one of all) await one.find(({ notice }) => notice === 'disconnected', 'the loss to be noticed')
    const next = await serve(t, socket)
    const from = performance.now()
    for (const one of all) {
      const { bus: _, pid } = await one.find(({ notice }) => notice === 'reconnected', 'it to be back')
      assert.equal(pid, next.pid)
    }
    t.diagnostic(`all back ${Math.round(performance.now() - from)} ms after the new bus listened`)
    next.child.stdin.write('{"event_type":"a","payload":1}\n')
    for (const one of all) assert.equal((await one.find((line) => 'seq' in line, 'an event'))['missed'], null)
    next.child.stdin.end()
    assert.equal(await next.ended(), 0)
  })

  test('the last line of the input counts, also without its end', async (t) => {
    const socket = socketIn(t)
    const bus = await serve(t, socket)
    const [consumer] = (await consumers(t, socket, 1)) as [Verb]
    bus.child.stdin.end('{"event_type":"a","payload":1}\n{"event_type":"a","payload":2}')
    assert.equal(await bus.ended(), 0)
    await until(() => consumer.events.length === 2, 'both events', { seen: () => consumer.lines })
  })

  test('a signal ends a set-up that is running', async (t) => {
    const socket = socketIn(t)
    await serve(t, socket)
    const hook = ['--setup', 'echo \'{"hook":"runs"}\'; exec sleep 20']
    const consumer = new Verb(t, ['eventbus', 'consume', 'a', '--socket', socket, ...hook])
    await consumer.find(({ hook }) => hook === 'runs', 'the set-up to run')
    consumer.child.kill('SIGTERM')
    assert.equal(await consumer.ended(), 143)
  })

  test('status, list, stop, hooks and exit codes', async (t) => {
    const socket = socketIn(t)
    const run = (...args: string[]) => execute(t, process.execPath, [...VERB, 'eventbus', ...args])
    assert.equal((await run('status', '--socket', socket)).code, 3)
    assert.equal((await run('status')).code, 2)
    assert.equal((await run('nonsense')).code, 2)
    const bus = await serve(t, socket)
    const hooks = ['--setup', 'echo \'{"hook":"set-up"}\'', '--cleanup', 'echo \'{"hook":"clean-up"}\'']
    const consumer = new Verb(t, [
      'eventbus',
      'consume',
      'a',
      '--socket',
      socket,
      '--limit',
      '1',
      '--param',
      'x=1',
      ...hooks,
    ])
    await consumer.find(({ hook }) => hook === 'set-up', 'the set-up')
    const { stdout } = await until(async () => {
      const answer = await run('status', '--socket', socket, '--json')
      return answer.stdout.includes('"activeConns":1') ? answer : undefined
    }, 'the consumer in the status')
    assert.match(stdout, /"subscriptionId":"a:[\w-]{16}"/)
    bus.child.stdin.write('nonsense\n{"type":"source_status","state":"reconnecting"}\n{"event_type":"a","payload":1}\n')
    assert.equal(await consumer.ended(), 0)
    assert.deepEqual(
      consumer.lines.map(({ hook, payload }) => hook ?? payload),
      ['set-up', 1, 'clean-up'],
    )
    assert.match(consumer.stderr, /stdin is reconnecting/)
    assert.equal((await run('consume', 'a', '--socket', socket, '--timeout', '1')).code, 124)
    assert.equal((await run('stop', '--socket', socket)).code, 0)
    assert.equal(await bus.ended(), 0)
    assert.match(bus.stderr, /no JSON/)
    assert.equal((await run('list', join(socket, '..', '..'), '--json')).code, 0)
  })
})
