import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newInstance } from '../../../src/election/index.ts'
import type { Engine } from '../../../src/engine/engine.ts'
import { FlushScheduler } from '../../../src/engine/local/flush.ts'
import { Hub, type HubOptions } from '../../../src/engine/local/hub.ts'
import { MAX_STRANGERS } from '../../../src/engine/local/limits.ts'
import { memoryTransport, type Connection } from '../../../src/transport/index.ts'
import { benchTest, code, offer, until } from '../../../src/testing/conformance/engine.ts'
import { Frame, KIND, TARGET } from '../../../src/wire/frame.ts'
import type { Hello } from '../../../src/wire/handshake.ts'
import { BatchPool, BatchWriter } from '../../../src/wire/writer.ts'
import { FakePort } from './fakes.ts'
import { memoryWorld, type MemoryWorld } from './world.ts'

const suite = benchTest(memoryWorld)

suite('A1 B3 a workspace that is deleted: its primary steps down, nobody goes on in the new one', async (b) => {
  const { machine } = b.world as MemoryWorld
  const all = await b.members(3, () => ({ offers: [offer('echo', ({ params }) => params)] }))
  const heard = b.statuses(all[0]!)
  machine.erase('/tmp/w/.conclave')
  // One who joins now is of another workspace.
  const other = await b.join()
  assert.equal(other.role, 'primary')
  for (const [i, one] of all.entries()) {
    const end = await one.closed
    assert.equal(end.type, 'workspace-gone', `member ${i}`)
    assert.ok('error' in end && code('WORKSPACE_MOVED')(end.error))
    await assert.rejects(b.call(one, 'echo'), code('WORKSPACE_MOVED', { outcome: 'not-committed' }))
  }
  assert.ok(heard.some((status) => status.type === 'warning' && code('LOCK_LOST')(status.error)))
  assert.equal(other.role, 'primary')
})

suite(
  'B3 a workspace whose path names another lock when the primary dies: survivors close, calls are not sent there',
  async (b) => {
    const { machine } = b.world as MemoryWorld
    const all = await b.members(2)
    machine.move('/tmp/w/.conclave', '/tmp/w/elsewhere')
    const other = await b.join({ offers: [offer('echo', () => 'wrong')] })
    b.world.kill(all[0]!)
    const call = b.call(all[1]!, 'echo', 1)
    await assert.rejects(call, code('WORKSPACE_MOVED'))
    assert.equal((await all[1]!.closed).type, 'workspace-gone')
    assert.equal(other.role, 'primary')
  },
)

suite('a member that is closing does not stand when its primary dies meanwhile', async (b) => {
  const all = await b.members(2, () => ({ offers: [offer('hang', () => new Promise(() => {}))] }))
  const call = b.call(all[1]!, 'hang').catch(() => {})
  const closed = all[1]!.close({ timeoutMs: 20_000 })
  await new Promise((resolve) => setTimeout(resolve, 5))
  b.world.kill(all[0]!)
  await Promise.all([closed, call])
  assert.equal((await b.join()).term, 2, 'nobody served in between')
})

suite('a rejected whilePrimary fails the join, and the seat is free', async (b) => {
  const why = new Error('no database')
  await assert.rejects(b.join({ whilePrimary: () => Promise.reject(why) }), why)
  assert.equal((await b.join()).role, 'primary')
})

suite('close while whilePrimary begins: it is ended before the next one starts', async (b) => {
  const log: string[] = []
  const { engine, joined } = b.world.begin({
    whilePrimary: async () => {
      await new Promise((resolve) => setTimeout(resolve, 30))
      log.push('started')
      return () => Promise.resolve(void log.push('stopped'))
    },
  })
  const rejected = assert.rejects(joined, code('ABORTED'))
  await until(() => engine.role === 'primary', 'it to win')
  const next = b.join({ whilePrimary: () => Promise.resolve((log.push('next'), () => Promise.resolve())) })
  await engine.close({ timeoutMs: 20_000 })
  await rejected
  await next
  assert.deepEqual(log, ['started', 'stopped', 'next'])
})

suite('a listener that throws does not harm the engine', async (b) => {
  const thrown: unknown[] = []
  const onThrown = (error: unknown): void => void thrown.push(error)
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', onThrown)
  try {
    const all = await b.members(2)
    const fault = new Error('mine')
    const stop = all[1]!.onStatus(() => {
      throw fault
    })
    await all[0]!.close({ timeoutMs: 20_000 })
    await until(() => all[1]!.role === 'primary' && thrown.length >= 3, 'the failover')
    assert.ok(thrown.every((error) => error === fault))
    stop()
  } finally {
    process.off('uncaughtException', onThrown)
    for (const listener of others) process.on('uncaughtException', listener)
  }
})

suite('a close that is aborted does not wait for its drain; a stop that hangs does not hold it', async (b) => {
  const hang = offer('hang', () => new Promise(() => {}))
  for (const index of [1, 0]) {
    const all = await b.members(2, () => ({
      offers: [hang],
      whilePrimary: () => Promise.resolve(() => (index === 0 ? new Promise(() => {}) : Promise.resolve())),
    }))
    const calls = Promise.allSettled([b.call(all[index]!, 'hang'), b.call(all[1 - index]!, 'hang')])
    await until(() => all[0]!.counters()['running'] === 2, 'two runs')
    await all[index]!.close({ timeoutMs: 1e9, signal: AbortSignal.timeout(30) })
    for (const one of all) one.abort('over')
    assert.ok((await calls).every(({ status }) => status === 'rejected'))
  }
})

suite('a member that is closed during a hand-over of its own, and a hundred short lives', async (b) => {
  const old = await b.join({ version: 1 })
  const newer = await b.join({ version: 2 })
  await Promise.all(
    [
      old.close({ timeoutMs: 20_000 }),
      newer.closed.then(
        () => {},
        () => {},
      ),
      until(() => newer.role === 'primary', 'it'),
    ].slice(0, 1),
  )
  await until(() => newer.role === 'primary', 'the newer one to serve')
  const lives = async (): Promise<void> => {
    for (let i = 0; i < 25; i++) {
      const one = await b.join({ offers: [offer('echo', ({ params }) => params)] })
      if (i % 3 === 0) b.world.kill(one)
      else if (i % 3 === 1) await one.close({ timeoutMs: 20_000 })
      else one.abort('enough')
    }
  }
  await Promise.all([lives(), lives(), lives(), lives()])
  const { members, links } = await newer.inspect(Infinity)
  await until(
    async () => (await newer.inspect(Infinity)).members.length === 1,
    `one of ${members.length}, ${links.length}`,
  )
})

function connect(
  world: MemoryWorld,
  engine: Engine,
): { connection: Connection; ended: () => boolean; received: () => number } {
  const process = world.machine.process()
  const announcement = JSON.parse(process.readFile('/tmp/w/.conclave/primary.json', 10_000)!) as { endpoint: string }
  assert.ok(engine.role === 'primary')
  const connection = memoryTransport(process).connect(announcement.endpoint.replace('memory:', ''))
  let ended = false
  let received = 0
  connection.handlers = {
    onData: (_bytes, start, end) => void (received += end - start),
    onEnd: () => connection.close(),
    onDrain: () => {},
    onClose: () => void (ended = true),
  }
  return { connection, ended: () => ended, received: () => received }
}

suite(`C5 of ${MAX_STRANGERS} links that say nothing the oldest yields; each has its time`, async (b) => {
  const world = b.world as MemoryWorld
  const first = await b.join({ limits: { handshakeTimeoutMs: 60_000 } })
  const strangers = Array.from({ length: MAX_STRANGERS + 3 }, () => connect(world, first))
  await until(() => strangers.slice(0, 3).every(({ ended }) => ended()), 'the oldest to be turned away')
  assert.ok(!strangers[3]!.ended() && !strangers.at(-1)!.ended())
  const second = await b.join()
  assert.equal(second.role, 'secondary')
  for (const one of [second, first]) one.abort('over')
  const hasty = await b.join({ limits: { handshakeTimeoutMs: 50 } })
  await until(connect(world, hasty).ended, 'its time to be over')
  assert.equal((await hasty.inspect(Infinity)).counters['door.silent'], 1)
})

suite('garbage and impossible frames end their link and nothing else', async (b) => {
  const world = b.world as MemoryWorld
  const first = await b.join()
  const member = (): ReturnType<typeof connect> & { write(frame: Frame): void } => {
    const link = connect(world, first)
    const write = (frame: Frame): void => {
      const writer = new BatchWriter(
        new BatchPool(),
        (bytes, start, end) => void link.connection.write(bytes, start, end),
      )
      writer.frame(frame)
      writer.flush()
    }
    const hello: Hello = {
      protocol: [1, 1],
      workspace:
        world.machine.process().stat('/tmp/w/.conclave/lock')!.dev +
        ':' +
        world.machine.process().stat('/tmp/w/.conclave/lock')!.ino,
      id: newInstance(),
      name: 'raw',
      pid: 1,
      ...{ term: 0, version: 0, minVersion: 0, stands: false },
    }
    write(new Frame().set(KIND.HELLO, 0, 0, 0, 0, 0, 0).withBody(JSON.stringify(hello)))
    return { ...link, write }
  }
  const noise = connect(world, first)
  noise.connection.write(Buffer.from('GET / HTTP/1.1'), 0, 14)
  await until(noise.ended, 'the link to end')
  const honest = member()
  await until(() => honest.received() > 0, 'the welcome')
  const wrong: ((frame: Frame) => Frame)[] = [
    (frame) => frame.set(KIND.WELCOME, 0, 0, 0, 0, 0, 0),
    (frame) => frame.set(KIND.GOAWAY, 0, 0, 0, 0, 9, 0),
    (frame) => frame.set(KIND.CHUNK, 0, 0, 0, 0, 0, 0),
    (frame) => frame.set(KIND.REQUEST, 0, 0, 0, 0, 1, NaN).withName('x'),
  ]
  for (const make of wrong) {
    const link = member()
    await until(() => link.received() > 0, 'the welcome')
    link.write(make(new Frame()))
    await until(link.ended, 'the link to end')
  }
  const odd: ((frame: Frame) => Frame)[] = [
    (frame) => frame.set(KIND.QUERY, 0, 0, 0, 0, 2, 0).withName('peers').withBody('{"method":"x","to":5}'),
    (frame) => frame.set(KIND.QUERY, 0, 0, 0, 0, 3, 0).withName('peers').withBody('nonsense'),
    (frame) => frame.set(KIND.SUBSCRIBE, 0, 0, 1, 0, 0, 0).withName('x').withBody('{"from":7}'),
    (frame) => frame.set(KIND.SUBSCRIBE, 0, 0, 1, 0, 0, 0).withName('x').withBody('nonsense'),
    (frame) => frame.set(KIND.PUBLISH, 0, 0, 0, 0, 1, 0).withName('not a topic'),
    (frame) => frame.set(KIND.RESPONSE, 0, 7, 0, 0, 4711, 0),
    (frame) => frame.set(KIND.CANCEL, 0, 7, 0, 0, 4711, 0),
    (frame) => frame.set(KIND.CREDIT, 0, 7, 0, 0, 4711, 0),
    (frame) => frame.set(KIND.UNSUBSCRIBE, 0, 0, 99, 0, 0, 0),
    (frame) => frame.set(KIND.WITHDRAW, 0, 0, 0, 0, 0, 0).withName('nothing'),
    (frame) => frame.set(KIND.REQUEST, 0, 0, 1, 0, 5, 1e15).withName('x').withBody('nonsense'),
    (frame) => frame.set(KIND.PING, 0, 0, 0, 0, 6, 0),
  ]
  for (const make of odd) {
    const before = honest.received()
    honest.write(make(new Frame()))
    honest.write(new Frame().set(KIND.PING, 0, 0, 0, 0, 1, 0))
    await until(() => honest.received() > before, 'the pong')
    assert.equal(honest.ended(), false)
  }
  honest.write(new Frame().set(KIND.GOODBYE, 0, 0, 0, 0, 0, 0))
  honest.write(new Frame().set(KIND.REQUEST, 0, 0, 1, 0, 7, 1e15).withName('x'))
  await until(async () => (await first.inspect(Infinity)).members.length === 1, 'it to be gone')
  assert.ok((await first.inspect(Infinity)).links.every(({ pendingCalls }) => pendingCalls === 0))
})

const primary = { id: newInstance(), name: 'p', pid: 1 }

const hubOptions: HubOptions = {
  term: 5,
  previousTerm: 4,
  identity: '1:2',
  primary,
  version: 3,
  minVersion: 2,
  holdsSeat: () => true,
  now: () => 0,
  flush: new FlushScheduler(),
  expected: undefined,
  succeeds: false,
  onNewer: () => {},
  onExhausted: () => {},
  limits: {},
}

function helloOf(change: Partial<Hello> = {}): Hello {
  const { version, term, stands } = { version: 2, term: 5, stands: true }
  const hello: Hello = {
    protocol: [1, 1],
    workspace: '1:2',
    id: newInstance(),
    name: 'm',
    pid: 2,
    minVersion: 0,
    version,
    term,
    stands,
  }
  return { ...hello, ...change }
}

test('A13 a long request counts as taken from its first fragment on; the goodbye waits for the rest of it', () => {
  const hub = new Hub(hubOptions)
  const local: Frame[] = []
  const own = hub.attachLocal((frame) => void local.push(frame.clone()))
  const port = hub.admit(helloOf(), 1, (slot, ref, session) => new FakePort(slot, ref.name, session)) as FakePort
  const request = (number: number): Frame =>
    new Frame().set(KIND.REQUEST, 0, 0, 1, TARGET.PRIMARY, number, 1e15).withName('x').withBody('1')
  const answer = (number: number): void =>
    hub.receive(own, new Frame().set(KIND.RESPONSE, 0, port.slot, 0, 0, number, 0))
  assert.equal(
    hub.receivePart(port, request(1), () => {}),
    undefined,
    'the primary itself takes it whole',
  )
  hub.receive(port, request(2))
  port.take()
  hub.goAway()
  assert.deepEqual(
    port.take().map(({ kind, number }) => [kind, number]),
    [[KIND.GOAWAY, 2]],
  )
  hub.receive(port, request(3))
  const discarded: number[] = []
  hub.receivePart(port, request(4), (bytes) => discarded.push(bytes))?.fragment(new Uint8Array(9), 0, 9, true, false)
  assert.deepEqual(discarded, [9])
  answer(2)
  assert.equal(hub.drained, false, 'one is still arriving')
  hub.receive(port, request(1))
  assert.deepEqual(
    local.filter(({ kind }) => kind === KIND.REQUEST).map(({ number }) => number),
    [2, 1],
  )
  assert.equal(hub.drained, false)
  answer(1)
  assert.equal(hub.drained, true)
  // Given up while it arrives: nothing to wait for.
  hub.receivePart(port, request(2), () => {})
  assert.equal(hub.drained, false)
  hub.receive(port, new Frame().set(KIND.CANCEL, 0, 0, 0, 0, 2, 0))
  assert.equal(hub.drained, true)
  hub.close()
})

test('C2 a member that comes back before its old link is known to be broken takes its place, unannounced', () => {
  const hub = new Hub(hubOptions)
  const topics: string[] = []
  const own = hub.attachLocal((frame) => {
    if (frame.kind === KIND.EVENT) topics.push(frame.name)
  })
  hub.receive(own, new Frame().set(KIND.SUBSCRIBE, 0, 0, 1, 0, 0, 0).withName('$member.*').withBody('{}'))
  const hello = helloOf()
  const admit = (): FakePort =>
    hub.admit(hello, 1, (slot, ref, session) => new FakePort(slot, ref.name, session)) as FakePort
  const first = admit()
  hub.receive(first, new Frame().set(KIND.PUBLISH, 0, 0, 0, 0, 7, 0).withName('x'))
  const second = admit()
  assert.equal(first.closed, true)
  const welcome = second.take().find(({ kind }) => kind === KIND.WELCOME)!
  assert.equal((JSON.parse(welcome.text) as { lastPublish: number }).lastPublish, 7)
  hub.remove(first, 'died')
  assert.equal(hub.linkCount, 2)
  assert.deepEqual(topics, ['$member.joined'])
  hub.remove(second, 'died')
  assert.deepEqual(topics, ['$member.joined', '$member.left'])
  assert.equal(hub.linkCount, 1)
  hub.close()
})

test('C3 B3 whom a switchboard refuses, and with what', () => {
  const options = { ...hubOptions, limits: { maxLinks: 1 } }
  const judge = (change: Partial<Hello>, more: Partial<HubOptions> = {}, prepare: (hub: Hub) => void = () => {}) => {
    const hub = new Hub({ ...options, ...more })
    try {
      prepare(hub)
      return hub.judge(helloOf(change))
    } finally {
      hub.close()
    }
  }
  assert.equal(judge({}), 1)
  assert.equal(judge({ protocol: [0, 7] }), 1)
  assert.throws(
    () => judge({ protocol: [2, 3] }),
    (e) => code('VERSION_MISMATCH')(e) && /the primary is older/.test(String(e)),
  )
  assert.throws(
    () => judge({ protocol: [0, 0] }),
    (e) => code('VERSION_MISMATCH')(e) && /the joining member is older/.test(String(e)),
  )
  assert.throws(() => judge({ workspace: '1:3' }), code('WORKSPACE_MOVED'))
  assert.throws(() => judge({ term: 6 }), code('STALE_TERM'))
  assert.throws(() => judge({ version: 1 }), code('SUPERSEDED', { data: { minVersion: 2, version: 1 } }))
  assert.throws(() => judge({ id: primary.id }), code('INVALID_REQUEST'))
  assert.throws(() => judge({}, { holdsSeat: () => false }), code('LOCK_LOST'))
  assert.throws(() => judge({}, {}, (hub) => hub.goAway()), code('PRIMARY_LOST'))
  assert.throws(() => judge({}, {}, (hub) => void hub.attachLocal(() => {})), code('OVERLOADED'))
})
