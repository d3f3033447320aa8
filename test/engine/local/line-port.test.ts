import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join as path } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { join, type Context, type Event, type Member } from 'conclave'
import { newInstance, type Announcement } from '../../../src/election/index.ts'
import { acceptLines } from '../../../src/engine/local/line-link.ts'
import type { LinePatience } from '../../../src/engine/local/line-port.ts'
import { FlushScheduler } from '../../../src/engine/local/flush.ts'
import { Hub } from '../../../src/engine/local/hub.ts'
import { MAX_HELD_ANSWERS, MAX_LINE_BYTES } from '../../../src/engine/local/limits.ts'
import type { Port } from '../../../src/engine/local/port.ts'
import type { Connection, ConnectionHandlers } from '../../../src/transport/transport.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'
import { FrameReader } from '../../../src/wire/reader.ts'
import { BatchPool } from '../../../src/wire/writer.ts'
import { defer, until, workspace } from '../../support/index.ts'
import { encode, frameOf } from '../../wire/support.ts'
import { endpointOf, RawPeer, type Line } from './lines.ts'

interface World {
  readonly folder: string
  readonly primary: Member
  readonly secondary: Member
  readonly seen: unknown[]
  peer(): RawPeer
  /** A member by hand that offers a method. */
  raw(method: string): Promise<RawCallee>
}

class RawCallee {
  readonly #requests: Frame[] = []
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    const reader = new FrameReader((frame) => {
      if (frame.kind === KIND.REQUEST) this.#requests.push(frame.clone())
    })
    socket.on('data', (bytes) => reader.push(bytes as Uint8Array, 0, bytes.length))
  }

  send(...frames: readonly Parameters<typeof frameOf>[0][]): void {
    this.#socket.write(encode(...frames.map(frameOf)))
  }

  async answer(kind: number, body: string): Promise<void> {
    await until(() => this.#requests.length > 0, 'a request')
    const { a, number } = this.#requests.shift()!
    this.send({ kind, a, number, body })
  }
}

async function world(t: TestContext): Promise<World> {
  const folder = workspace(t)
  const seen: unknown[] = []
  const methods = {
    echo: (x: unknown) => x,
    note: (x: unknown) => void seen.push(x),
    bytes: () => new Uint8Array([1, 2, 255]),
    long: (n: number) => 'x'.repeat(n),
    fail: () => {
      throw Object.assign(new RangeError('no good'), { code: 'E_BAD', data: [1] })
    },
    nothing: () => undefined,
    slow: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, 'late')),
    hang: (_: unknown, { signal }: Context) => {
      signal.addEventListener('abort', () => seen.push('told'))
      return new Promise(() => {})
    },
    who: (_: unknown, { caller }: Context) => caller.name,
  }
  const primary = (await join(folder, { name: 'p', methods })) as unknown as Member
  const secondary = (await join(folder, { name: 's' })) as Member
  defer(t, () => {
    secondary.abort()
    primary.abort()
  })
  secondary.offer({ afar: (x: unknown) => ['afar', x] }, { to: 'any' })
  await secondary.inspect()
  const raw = async (method: string): Promise<RawCallee> => {
    const { lock } = JSON.parse(readFileSync(path(folder, '.conclave', 'primary.json'), 'utf8')) as Announcement
    const socket = connect(endpointOf(folder))
    defer(t, () => socket.destroy())
    const callee = new RawCallee(socket)
    const hello = { protocol: [1, 1], workspace: lock, id: newInstance(), name: 'raw', pid: 1, term: 0, stands: false }
    callee.send({ kind: KIND.HELLO, body: JSON.stringify(hello) }, { kind: KIND.OFFER, c: 1, name: method })
    await until(
      async () => (await primary.inspect()).members.some(({ methods }) => methods.includes(method)),
      'its offer',
    )
    return callee
  }
  return { folder, primary, secondary, seen, raw, peer: () => new RawPeer(t, endpointOf(folder)) }
}

const counter = async (member: Member, name: string): Promise<number> => (await member.inspect()).counters[name] ?? 0

describe('JSON lines: calls', () => {
  test('reach the primary and others, without a handshake', async (t) => {
    const { peer } = await world(t)
    const one = peer()
    for (const value of [null, 0, '', 'ä€😀\u2028', [1, { a: [] }], { jsonrpc: 1 }]) {
      assert.deepEqual((await one.call('echo', value)).result, value)
      assert.deepEqual((await one.call('afar', value)).result, ['afar', value])
    }
    assert.equal((await one.call('nothing')).result, null)
    assert.deepEqual((await one.call('bytes')).result, { base64: 'AQL/' })
    assert.equal((await one.call('who')).result, 'json-lines')
    assert.equal(((await one.call('long', 3_000_000)).result as string).length, 3_000_000)
    assert.equal(((await one.call('echo', 'y'.repeat(500_000))).result as string).length, 500_000)
  })

  test('answers come as they are ready, matched by ids of every JSON type', async (t) => {
    const { peer } = await world(t)
    const one = peer()
    one.request('slow', 'slow', 30)
    const ids = [0, -1, 1.5, 2 ** 53 - 1, '', 'ä', null]
    for (const id of ids) one.request(id, 'echo', String(id))
    for (const id of ids) assert.deepEqual(await one.next(), { jsonrpc: '2.0', id, result: String(id) })
    assert.deepEqual(await one.next(), { jsonrpc: '2.0', id: 'slow', result: 'late' })
    for (const id of [true, [], {}, 2 ** 60]) {
      one.request(id, 'echo')
      const { id: none, error } = await one.next()
      assert.deepEqual([none, error?.code], [null, -32600])
    }
  })

  test('errors carry number, code, reason and data', async (t) => {
    const { peer } = await world(t)
    const one = peer()
    const failed = await one.call('fail')
    assert.deepEqual(failed.error, {
      code: -32000,
      message: 'no good',
      data: { code: 'FAILED', reason: 'E_BAD', data: [1] },
    })
    const codes = async (method: string, params?: unknown): Promise<unknown> => {
      const { error } = await one.call(method, params)
      return [error?.code, error?.data?.code]
    }
    assert.deepEqual(await codes('nobody.offers'), [-32601, 'METHOD_NOT_FOUND'])
    assert.deepEqual(await codes('conclave.nothing'), [-32601, 'METHOD_NOT_FOUND'])
    for (const method of ['', 'a\0b']) assert.deepEqual(await codes(method), [-32602, 'INVALID_PARAMS'])
    assert.deepEqual(await codes('x'.repeat(2000)), [-32601, 'METHOD_NOT_FOUND'])
    assert.equal((await one.call('echo', 1)).result, 1, 'the link lives on')
  })

  test('what a member answers that is no JSON, or no error, is an error of ours and not a broken line', async (t) => {
    const { peer, raw } = await world(t)
    const callee = await raw('bad')
    const one = peer()
    const answers: readonly (readonly [kind: number, body: string])[] = [
      [KIND.RESPONSE, '{oops'],
      [KIND.FAILURE, '{oops'],
      [KIND.FAILURE, ''],
      [KIND.FAILURE, '5'],
      [KIND.FAILURE, '{"code":"x"}'],
    ]
    for (const [kind, body] of answers) {
      const failed = one.call('bad')
      await callee.answer(kind, body)
      assert.equal((await failed).error?.data?.code, 'PROTOCOL', body)
    }
    const whole = one.call('bad')
    await callee.answer(KIND.RESPONSE, '[1.50,\n2]')
    assert.deepEqual((await whole).result, [1.5, 2], 'its link lives')
  })

  test('a notification is not answered, whatever becomes of it', async (t) => {
    const { peer, seen } = await world(t)
    const one = peer()
    one.send(
      { jsonrpc: '2.0', method: 'note', params: 1 },
      { jsonrpc: '2.0', method: 'fail' },
      { jsonrpc: '2.0', method: 'none' },
    )
    one.send(
      { jsonrpc: '2.0', method: 'conclave.publish', params: 5 },
      { jsonrpc: '2.0', method: 'conclave.subscribe' },
    )
    one.send({ jsonrpc: '2.0', id: 7, result: 'of a call nobody made' })
    assert.equal((await one.call('echo', 2)).result, 2)
    await until(() => seen.length === 1, 'the notification')
    assert.deepEqual(one.lines, [])
  })

  test('a batch is answered by one line when all are there; each kind of refusal has its place in it', async (t) => {
    const { peer, seen } = await world(t)
    const one = peer()
    const ask = (id: unknown, method: string, params?: unknown): object => ({ jsonrpc: '2.0', id, method, params })
    one.send([
      ask(1, 'slow', 20),
      ask(2, 'echo', 'x'),
      { jsonrpc: '2.0', method: 'note', params: 'n' },
      5,
      ask(3, 'fail'),
      ask(4, 'conclave.publish', { topic: 'a..b' }),
      ask(5, 'conclave.publish', { topic: 'a.b', data: 1 }),
      ask(6, 'conclave.subscribe', { pattern: '>.x' }),
      ask(7, 'conclave.subscribe', { pattern: 'a.*' }),
      ask(8, 'conclave.unsubscribe', { subscription: 99 }),
      ask(9, 'none'),
      ask(10, 'bytes'),
      ask(11, 'conclave.status'),
    ])
    const answers = (await one.next()) as unknown as Line[]
    const byId = new Map(answers.map((answer) => [answer.id, answer.error?.data?.code ?? answer.result]))
    assert.equal(answers.length, 12)
    assert.equal(byId.get(1), 'late')
    assert.equal(byId.get(2), 'x')
    assert.equal(byId.get(null), 'INVALID_REQUEST')
    assert.equal(byId.get(3), 'FAILED')
    assert.equal(byId.get(4), 'INVALID_OPTION')
    assert.equal(typeof (byId.get(5) as { seq: number }).seq, 'number')
    assert.equal(byId.get(6), 'INVALID_OPTION')
    assert.equal((byId.get(7) as { subscription: number }).subscription, 2)
    assert.equal(byId.get(8), 'INVALID_PARAMS')
    assert.equal(byId.get(9), 'METHOD_NOT_FOUND')
    assert.deepEqual(byId.get(10), { base64: 'AQL/' })
    assert.equal((byId.get(11) as { term: number }).term, 1)
    assert.deepEqual(seen, ['n'])
    one.send([{ jsonrpc: '2.0', method: 'note', params: 'm' }])
    one.send([])
    assert.equal((await one.next()).error?.data?.code, 'INVALID_REQUEST')
    one.send([1, 2])
    assert.equal(((await one.next()) as unknown as Line[]).length, 2)
    assert.deepEqual(one.lines, [], 'a batch of notifications has no answer')
  })

  test('conclave.status is what inspect() gives', async (t) => {
    const { peer, primary } = await world(t)
    const one = peer()
    const { result } = (await one.call('conclave.status')) as {
      result: { members: unknown; links: { form: string }[] }
    }
    assert.deepEqual(result.members, (await primary.inspect()).members)
    assert.deepEqual(
      result.links.map(({ form }) => form),
      ['frames', 'frames', 'lines'],
    )
  })
})

describe('JSON lines: bytes', () => {
  const line = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"echo","params":"ä"}`

  test('one at a time, CR LF, white space first, empty lines', async (t) => {
    const { peer } = await world(t)
    const one = peer()
    one.socket.setNoDelay(true)
    for (const byte of Buffer.from(` \r\n\n\t${line(1)}\r\n`)) {
      one.write(Uint8Array.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal((await one.next()).result, 'ä')
  })

  test('garbage and bytes that are no UTF-8 are refused under no id, counted, and skipped', async (t) => {
    const { peer, primary } = await world(t)
    const one = peer()
    one.write('{"half": \n')
    assert.deepEqual((await one.next()).error?.data?.code, 'PROTOCOL')
    one.write(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from(`"}\n${line(2)}\n`)]))
    const { id, error } = await one.next()
    assert.deepEqual([id, error?.data?.code], [null, 'PROTOCOL'])
    assert.equal((await one.next()).id, 2)
    one.write('{"jsonrpc":"1.0","id":3,"method":"echo"}\n"text"\n')
    assert.deepEqual((await one.next()).id, 3)
    assert.equal((await one.next()).error?.code, -32600)
    assert.equal(await counter(primary, 'links.faults'), 4)
  })

  test('B19: MAX_LINE_BYTES: a longer line is skipped with one error, and the link lives on', async (t) => {
    const { peer, primary } = await world(t)
    const one = peer()
    one.write('[')
    for (let i = 0; i < 5; i++) one.write('x'.repeat(MAX_LINE_BYTES / 2))
    one.write(`\n${line(1)}\n`)
    assert.equal((await one.next()).error?.data?.code, 'TOO_LARGE')
    assert.equal((await one.next()).id, 1)
    assert.deepEqual(one.lines, [])
    assert.equal(await counter(primary, 'links.faults'), 1)
    const head = '{"jsonrpc":"2.0","id":2,"method":"echo","params":"'
    one.write(`${head}${'x'.repeat(MAX_LINE_BYTES - head.length - 2)}"}\n`)
    assert.equal((await one.next()).id, 2, 'the longest that fits')
  })

  test('B19: what asks before its end is answered before ours, also a call that takes a while', async (t) => {
    const { peer } = await world(t)
    const one = peer()
    one.request(1, 'slow', 50)
    one.request(2, 'conclave.subscribe', { pattern: '..' })
    one.request(3, 'conclave.publish', { topic: '..' })
    await one.end()
    assert.deepEqual(
      one.lines.map(({ id }) => id),
      [2, 3, 1],
    )
    await until(() => one.closed, 'the link to close')
    const two = peer()
    two.write('{"jsonrpc":"2.0","id":1')
    await two.end()
    assert.equal(two.lines[0]?.error?.data?.code, 'PROTOCOL', 'half a line is not taken for a whole one')
  })

  test('B19: LINE_LINGER_MS: who asks for what never comes is let go, and the handler is told', async (t) => {
    const { peer, seen, primary } = await world(t)
    const one = peer()
    one.request(1, 'hang')
    one.socket.end()
    await until(() => one.closed, 'the link to close')
    await until(() => seen.includes('told'), 'the handler to be told')
    assert.deepEqual(one.lines, [])
    assert.equal((await primary.inspect()).links.length, 2)
  })

  test('B19: what is neither frames nor lines is counted and closed', async (t) => {
    const { peer, primary } = await world(t)
    const one = peer()
    one.write('GET / HTTP/1.1\r\n\r\n')
    await until(() => one.ended || one.closed, 'the link to close')
    assert.equal(await counter(primary, 'door.garbage'), 1)
  })
})

describe('JSON lines: events', () => {
  test('publish and subscribe, with seq, publisher and missed; bytes as base64', async (t) => {
    const { peer, primary, secondary } = await world(t)
    const one = peer()
    const { subscription, seq } = (await one.call('conclave.subscribe', { pattern: 'a.*' })).result as Record<
      string,
      number
    >
    const events = primary.subscribe('a.*')
    await events.ready
    const own = (await one.call('conclave.publish', { topic: 'a.own', data: { x: 1 } })).result as { seq: number }
    const theirs = await secondary.publish('a.theirs', new Uint8Array([1, 2, 255]))
    await one.call('conclave.publish', { topic: 'a.none' })
    assert.ok(seq! < own.seq && own.seq < theirs)
    const params = async (): Promise<Record<string, unknown>> => {
      const { method, params } = await one.next((each) => each['method'] === 'conclave.event')
      assert.equal(method, 'conclave.event')
      return params as Record<string, unknown>
    }
    const first = await params()
    assert.deepEqual(
      [
        first['subscription'],
        first['topic'],
        first['data'],
        first['seq'],
        first['term'],
        first['missed'],
        first['exact'],
      ],
      [subscription, 'a.own', { x: 1 }, own.seq, 1, 0, true],
    )
    assert.equal((first['publisher'] as { name: string }).name, 'json-lines')
    const second = await params()
    assert.deepEqual([second['data'], (second['publisher'] as { id: string }).id], [{ base64: 'AQL/' }, secondary.id])
    assert.equal((await params())['data'], null)
    const member = (await events.next()).value
    assert.deepEqual([member?.data, member?.publisher.name, member?.seq], [{ x: 1 }, 'json-lines', own.seq])
    assert.equal((await one.call('conclave.unsubscribe', { subscription })).result, true)
    await secondary.publish('a.b', 1)
    await one.call('echo', 1)
    assert.deepEqual(one.lines, [])
    const again = await one.call('conclave.unsubscribe', { subscription })
    assert.equal(again.error?.data?.code, 'INVALID_PARAMS')
  })

  test('data that is marked sensitive is told as such, both ways and in a replay', async (t) => {
    const { peer, secondary } = await world(t)
    const one = peer()
    const events = secondary.subscribe('a')
    await events.ready
    for (const sensitive of [true, false, undefined]) {
      assert.equal((await one.call('conclave.publish', { topic: 'a', data: 1, sensitive })).error, undefined)
    }
    await secondary.publish('a', 1, { sensitive: true })
    for (const sensitive of [true, false, false, true]) {
      const event = (await events.next()).value
      assert.deepEqual([event?.data, event?.sensitive], [1, sensitive])
    }
    await one.call('conclave.subscribe', { pattern: 'a', from: 'earliest' })
    for (const sensitive of [true, undefined, undefined, true]) {
      const { params } = await one.next((each) => each['method'] === 'conclave.event')
      assert.deepEqual([(params as Event).data, (params as Event).sensitive], [1, sensitive])
    }
    const wrong = await one.call('conclave.publish', { topic: 'a', data: 1, sensitive: 'yes' })
    assert.equal(wrong.error?.data?.code, 'INVALID_PARAMS')
  })

  test('a replay names publishers that have left', async (t) => {
    const { peer, secondary } = await world(t)
    await secondary.publish('a.b', 1)
    const { id } = secondary
    await secondary.close()
    const one = peer()
    await one.call('conclave.subscribe', { pattern: 'a.b', from: 'earliest' })
    const { params } = await one.next((each) => each['method'] === 'conclave.event')
    assert.equal((params as { publisher: { id: string } }).publisher.id, id)
  })

  test('system topics are not for publishing, and are told', async (t) => {
    const { peer, secondary } = await world(t)
    const one = peer()
    await one.call('conclave.subscribe', { pattern: '$member.left' })
    assert.equal((await one.call('conclave.publish', { topic: '$member.left' })).error?.data?.code, 'INVALID_OPTION')
    await secondary.close()
    assert.equal(((await one.next()).params as { topic: string }).topic, '$member.left')
  })

  test('P4: a reader that stalls costs nobody anything, and is told how many it missed', async (t) => {
    const { peer, primary, secondary } = await world(t)
    const one = peer()
    await one.call('conclave.subscribe', { pattern: 'big', maxQueued: 5 })
    one.socket.pause()
    const total = 200
    const data = 'x'.repeat(10_000)
    for (let i = 0; i < total; i++) await secondary.publish('big', data)
    assert.ok((await primary.inspect()).drops > 0, 'the queue was full')
    one.socket.resume()
    await secondary.publish('big', 'last')
    let received = 0
    let missed = 0
    for (;;) {
      const { params } = await one.next((each) => each['method'] === 'conclave.event')
      const event = params as { data: unknown; missed: number; exact: boolean }
      received++
      missed += event.missed
      assert.equal(event.exact, true)
      if (event.data === 'last') break
    }
    assert.equal(received + missed, total + 1)
    assert.ok(missed > 0)
  })

  test("overflow 'disconnect' ends the subscription with a notification, not with a second answer", async (t) => {
    const { peer, secondary } = await world(t)
    const one = peer()
    const { result } = await one.call('conclave.subscribe', { pattern: 'big', maxQueued: 1, overflow: 'disconnect' })
    one.socket.pause()
    for (let i = 0; i < 200; i++) await secondary.publish('big', 'x'.repeat(10_000))
    one.socket.resume()
    const { params } = await one.next((each) => each['method'] === 'conclave.ended')
    const { subscription, error } = params as { subscription: number; error: { data: { code: string } } }
    assert.deepEqual([subscription, error.data.code], [(result as { subscription: number }).subscription, 'OVERLOADED'])
    assert.equal(one.lines.filter((each) => 'id' in each).length, 0)
    assert.equal((await one.call('echo', 1)).result, 1)
  })
})

describe('JSON lines: ends', () => {
  test('A13: a primary that closes answers what it took, then ends the link; its process does not wait for ours', async (t) => {
    const { peer, primary, secondary, folder } = await world(t)
    const one = peer()
    one.request(1, 'slow', 50)
    await until(async () => (await primary.inspect()).counters['calls.relayed']! > 0, 'the call to go')
    const closed = primary.close()
    await new Promise((resolve) => setImmediate(resolve))
    one.request(2, 'echo', 'too late')
    await closed
    await until(() => one.ended, 'the end')
    assert.deepEqual(one.lines.map(({ id, result, error }) => [id, result ?? error?.data?.code]).sort(), [
      [1, 'late'],
      [2, 'PRIMARY_LOST'],
    ])
    await until(() => secondary.role === 'primary', 'the other to serve')
    const two = new RawPeer(t, endpointOf(folder))
    assert.deepEqual((await two.call('afar', 1)).result, ['afar', 1])
  })

  test('B17: one that asks and never reads is cut off at its bound', async (t) => {
    const { peer, primary } = await world(t)
    const one = peer()
    await one.call('echo', 1)
    one.socket.pause()
    const garbage = '{\n'.repeat(10_000)
    await until(
      async () => {
        if (!one.socket.destroyed) one.write(garbage)
        return (await primary.inspect()).links.length === 2
      },
      'it to be cut off',
      { everyMs: 1 },
    )
    assert.ok((await counter(primary, 'links.faults')) > 50_000)
  })

  test('hundreds that come and go leave nothing behind', async (t) => {
    const { peer, primary } = await world(t)
    for (let i = 0; i < 100; i++) {
      const one = peer()
      await one.call('conclave.subscribe', { pattern: 'x' })
      one.socket.destroy()
    }
    await until(async () => (await primary.inspect()).links.length === 2, 'all to be gone')
    assert.equal((await primary.publish('x', 1)) > 0, true)
  })
})

/** A connection whose other side is this test. */
class FakeConnection implements Connection {
  readonly peer = { pid: 1, uid: 1000, gid: 1000 } as never
  handlers: ConnectionHandlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
  readonly bufferedBytes = 0
  readonly takenBytes = 0
  text = ''
  did: string[] = []
  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.text += Buffer.from(bytes.subarray(start, end)).toString()
    return true
  }
  say(text: string): void {
    const bytes = Buffer.from(text)
    this.handlers.onData(bytes, 0, bytes.length)
  }
  pause(): void {}
  resume(): void {}
  ref(): void {}
  unref(): void {
    this.did.push('unref')
  }
  end(): void {
    this.did.push('end')
  }
  close(): void {
    this.did.push('close')
    setImmediate(() => this.handlers.onClose(undefined))
  }
}

describe('JSON lines: patience', () => {
  function fake(
    t: TestContext,
    patience: LinePatience = { callMs: 60_000, lingerMs: 30 },
  ): { connection: FakeConnection; sent: Frame[]; hub: Hub; local: Port } {
    const flush = new FlushScheduler()
    const hub = new Hub({
      term: 1,
      previousTerm: 0,
      identity: '1:1',
      primary: { id: 'A'.repeat(22), name: 'p', pid: 1 },
      version: 0,
      minVersion: 0,
      holdsSeat: () => true,
      now: () => performance.now(),
      flush,
      expected: undefined,
      succeeds: false,
      onNewer: () => {},
      onExhausted: () => {},
      limits: {},
    })
    const sent: Frame[] = []
    const local = hub.attachLocal((frame) => void sent.push(frame.clone()))
    const connection = new FakeConnection()
    acceptLines(hub, connection, new BatchPool(), flush, patience)
    defer(t, () => hub.close())
    return { connection, sent, hub, local }
  }

  test('B1: what answers a half-closed peer while the loop is busy is read before its linger counts', async (t) => {
    const { connection, sent, hub, local } = fake(t)
    connection.say('{"jsonrpc":"2.0","id":1,"method":"slow"}\n')
    connection.handlers.onEnd()
    const { a, b, number } = sent.find(({ kind }) => kind === KIND.REQUEST)!
    // From the check phase on, timers come before what this adds to it.
    await new Promise((resolve) => setImmediate(resolve))
    setImmediate(() => hub.receive(local, new Frame().set(KIND.RESPONSE, 0, a, b, 0, number, 0).withBody('7')))
    const until = performance.now() + 60
    while (performance.now() < until);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal((JSON.parse(connection.text) as Line).result, 7)
  })

  test('P5: a call that nobody answers is TIMEOUT at its deadline, and its handler is told', async (t) => {
    const { connection, sent } = fake(t, { callMs: 30, lingerMs: 30 })
    connection.say('{"jsonrpc":"2.0","id":1,"method":"hang"}\n[{"jsonrpc":"2.0","id":2,"method":"hang"}]\n')
    await until(() => connection.text.split('\n').length === 3, 'two answers')
    const [one, batch] = connection.text
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Line)
    assert.deepEqual([one!.id, one!.error?.data?.code], [1, 'TIMEOUT'])
    assert.deepEqual(
      (batch as unknown as Line[]).map(({ id, error }) => [id, error?.data?.code]),
      [[2, 'TIMEOUT']],
    )
    assert.equal(sent.filter(({ kind }) => kind === KIND.CANCEL).length, 2)
  })

  /** Says a line whose calls all get this answer from the primary's own member. @returns what the peer was sent */
  async function answered(t: TestContext, line: string, kind: number, body: string): Promise<string[]> {
    const { connection, hub, sent, local } = fake(t)
    connection.say(`${line}\n`)
    for (const { a, b, number } of sent.filter((frame) => frame.kind === KIND.REQUEST)) {
      hub.receive(local, new Frame().set(kind, 0, a, b, 0, number, 0).withBody(body))
    }
    await until(() => connection.text.endsWith('\n'), 'the answer')
    return connection.text.trim().split('\n')
  }
  const call = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"m"}`
  /** JSON that can be read and not be written again: JSON.stringify has no stack for it. */
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`

  test('P5: an answer that is no JSON, or no error, is an error to its caller and no fault of the switchboard', async (t) => {
    for (const kind of [KIND.RESPONSE, KIND.FAILURE]) {
      for (const line of [call(1), `[${call(1)}]`]) {
        const [text = ''] = await answered(t, line, kind, 'no{json')
        const answer = [JSON.parse(text) as Line].flat()[0]
        assert.deepEqual([answer?.id, answer?.error?.data?.code], [1, 'PROTOCOL'])
      }
    }
    for (const body of ['', '5', 'null', '{"code":"x"}', '{"code":-1,"message":7}']) {
      const [text = ''] = await answered(t, call(2), KIND.FAILURE, body)
      const { id, error } = JSON.parse(text) as Line
      assert.deepEqual([id, typeof error?.code, typeof error?.message], [2, 'number', 'string'], body)
    }
  })

  test('what is nested deep, or has more digits than ours, arrives as it is: alone, in a batch, as an event', async (t) => {
    for (const json of [deep, '12345678901234567890.5']) {
      assert.deepEqual(await answered(t, call(1), KIND.RESPONSE, json), [`{"jsonrpc":"2.0","id":1,"result":${json}}`])
      const [batch] = await answered(t, `[${call(1)},${call(2)}]`, KIND.RESPONSE, json)
      const [one, two] = [1, 2].map((id) => `{"jsonrpc":"2.0","id":${id},"result":${json}}`)
      assert.equal(batch, `[${one},${two}]`)
      const error = `{"code":-7,"message":"m","data":${json}}`
      assert.deepEqual(await answered(t, call(1), KIND.FAILURE, error), [`{"jsonrpc":"2.0","id":1,"error":${error}}`])
      const { connection, hub, local } = fake(t)
      connection.say('{"jsonrpc":"2.0","id":1,"method":"conclave.subscribe","params":{"pattern":"x"}}\n')
      hub.receive(local, new Frame().set(KIND.PUBLISH, 0, 0, 0, 0, 1, 0).withName('x').withBody(json))
      await until(() => connection.text.split('\n').length === 3, 'the event')
      assert.match(connection.text, /"missed":0/)
      assert.ok(connection.text.includes(`"data":${json}}`))
      assert.ok(JSON.parse(connection.text.split('\n')[1]!))
    }
  })

  test('params and data that are nested too deep to be passed on are refused as such', async (t) => {
    const { connection } = fake(t)
    for (const [method, params] of [
      ['m', deep],
      ['conclave.publish', `{"topic":"x","data":${deep}}`],
      ['conclave.subscribe', `{"pattern":"x","from":${deep}}`],
    ]) {
      connection.text = ''
      connection.say(`{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}\n`)
      await until(() => connection.text.endsWith('\n'), 'the refusal')
      assert.equal((JSON.parse(connection.text) as Line).error?.code, -32602, method)
    }
    connection.text = ''
    connection.say('{"jsonrpc":"2.0","id":2,"method":"conclave.unsubscribe","params":{"subscription":1}}\n')
    await until(() => connection.text.endsWith('\n'), 'the answer')
    assert.equal((JSON.parse(connection.text) as Line).error?.code, -32602, 'none has begun')
  })

  test('MAX_HELD_ANSWERS: what waits in unfinished batches is bounded', async (t) => {
    const { connection, hub, sent, local } = fake(t)
    connection.say(`[${[1, 2, 3, 4].map(call).join(',')}]\n`)
    const body = `"${'x'.repeat(MAX_HELD_ANSWERS / 2 - 1000)}"`
    for (const [at, { a, b, number }] of sent.filter((frame) => frame.kind === KIND.REQUEST).entries()) {
      hub.receive(local, new Frame().set(KIND.RESPONSE, 0, a, b, 0, number, 0).withBody(at === 3 ? '1' : body))
    }
    await until(() => connection.text.endsWith('\n'), 'the batch')
    const answers = JSON.parse(connection.text) as Line[]
    assert.deepEqual(
      answers.map(({ result, error }) => error?.data?.code ?? (result as string | number).toString().length),
      [body.length - 2, body.length - 2, 'TOO_LARGE', 1],
    )
    connection.text = ''
    connection.say(`[${call(5)}]\n`)
    const { a, b, number } = sent.at(-1)!
    hub.receive(local, new Frame().set(KIND.RESPONSE, 0, a, b, 0, number, 0).withBody(body))
    await until(() => connection.text.endsWith('\n'), 'what was held to be let go')
    assert.equal(typeof (JSON.parse(connection.text) as Line[])[0]?.result, 'string')
  })

  test('one that never closes its side is closed after our end', async (t) => {
    const { connection, hub } = fake(t)
    hub.links()[0]!.end()
    assert.deepEqual(connection.did, ['end', 'unref'])
    await until(() => connection.did.includes('close'), 'it to be closed')
    await until(() => hub.links().length === 0, 'it to be forgotten')
  })
})
