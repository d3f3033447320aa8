import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { StringValueSchema, UInt32ValueSchema } from '@bufbuild/protobuf/wkt'
import {
  ClientConnection,
  defineMethod,
  defineModule,
  DomainSocketServer,
  marshal,
  newFailure,
  newFailureWithMessage,
  Status,
  unknownMethod,
  unmarshal,
  type CallContext,
  type ServerOptions,
  type Session,
} from '../../../src/dialects/drpc/index.ts'
import { ConclaveError, type Code } from '../../../src/errors/index.ts'
import { MAX_QUEUED_CALLS, PACKET_BYTES } from '../../../src/dialects/drpc/limits.ts'
import { native } from '../../../src/platform/native.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { packetTransport } from '../../../src/transport/index.ts'
import { temporaryDirectory, until } from '../../support/index.ts'
import { needsRoot, startProgram, STRANGER, temporaryDirectory as openDirectory } from '../../platform/support.ts'
import {
  callPackets,
  codec,
  dial,
  METHOD,
  MODULE,
  needsLinux,
  needsPython,
  pattern,
  RawPeer,
  serve,
  stillServes,
} from './support.ts'

const is =
  (code: Code) =>
  (error: unknown): boolean =>
    ConclaveError.is(error, code)

/** As libraries have them that are older than promises: what `then` returns is no Promise either. */
class OtherPromise {
  readonly #promise: Promise<unknown>

  constructor(promise: Promise<unknown>) {
    this.#promise = promise
  }

  // oxlint-disable-next-line unicorn/no-thenable -- that is the point
  then(...given: Parameters<Promise<unknown>['then']>): OtherPromise {
    return new OtherPromise(this.#promise.then(...given))
  }

  catch(...given: Parameters<Promise<unknown>['catch']>): OtherPromise {
    return new OtherPromise(this.#promise.catch(...given))
  }
}

describe('modules', { skip: needsLinux }, () => {
  const typed = defineModule({
    id: 7,
    name: 'typed',
    methods: {
      size: defineMethod({
        id: 701,
        request: StringValueSchema,
        response: UInt32ValueSchema,
        handle: ({ value }) => ({ value: value.length }),
      }),
      later: defineMethod({
        id: 702,
        name: 'Later',
        request: StringValueSchema,
        response: StringValueSchema,
        handle: async ({ value }) => {
          await turn()
          return create(StringValueSchema, { value: `${value}!` })
        },
      }),
      wrong: defineMethod({ id: 703, response: UInt32ValueSchema, handle: () => ({ value: -1 }) }),
      half: defineMethod({ id: 705, request: UInt32ValueSchema, handle: ({ value }) => new Uint8Array(value / 2) }),
      raw: defineMethod({ id: 704, handle: () => 'text' as unknown as Uint8Array }),
    },
  })

  test('schemas are typed through, both ways', async (t) => {
    const { path, errors } = await serve(t, {}, typed)
    const client = await dial(t, path)
    const { value } = await client.call(typed.methods.size, { value: 'hello' })
    assert.equal(value satisfies number, 5)
    assert.equal((await client.call(typed.methods.later, { value: 'hi' })).value satisfies string, 'hi!')
    await assert.rejects(
      client.call(typed.methods.wrong, undefined),
      (error) =>
        ConclaveError.is(error, 'INVALID_RESULT') && error.reason === 'FAILED_MARSHAL' && /wrong/.test(error.message),
    )
    await assert.rejects(client.call(typed.methods.raw, undefined), is('INVALID_RESULT'))
    assert.equal(errors.length, 2)
    // @ts-expect-error text is no number
    await assert.rejects(client.call(typed.methods.half, { value: 'text' }), is('INVALID_PARAMS'))
    await assert.rejects(client.call(typed.methods.half, { value: -1 }), is('INVALID_PARAMS'))
    assert.equal((await client.call(typed.methods.half, { value: 8 })).length satisfies number, 4)
  })

  test('a body that is no such message: FAILED_UNMARSHAL_PAYLOAD', async (t) => {
    const { path } = await serve(t, {}, typed)
    const client = await dial(t, path)
    const response = await client.sendMsg({ module: 7, method: 701, body: Uint8Array.of(0xff) })
    assert.equal(response.status, Status.FAILED_UNMARSHAL_PAYLOAD)
  })

  test('whatever a handler does becomes a status; a body travels with SUCCESS only', async (t) => {
    const handlers: readonly (readonly [() => unknown, number])[] = [
      [() => Buffer.from('ok'), Status.SUCCESS],
      [() => undefined, Status.SUCCESS],
      [() => Promise.resolve(Buffer.from('ok')), Status.SUCCESS],
      [() => Promise.reject(new Error('no')), Status.FAILURE],
      [() => Promise.reject(undefined), Status.FAILURE],
      [() => Promise.reject(unknownMethod()), Status.UNKNOWN_METHOD],
      [() => Promise.reject(newFailure(Status.SUBMITTED)), Status.SUBMITTED],
      [() => Promise.reject(newFailure(77)), 77],
      [() => Promise.reject(newFailure(Status.SUCCESS)), Status.FAILURE],
      [() => Promise.reject(newFailureWithMessage('text')), Status.FAILURE],
      // Numbers that can't travel, and things that can't be made text.
      [() => Promise.reject(newFailure(2 ** 40)), Status.FAILURE],
      [async () => Promise.reject(newFailure(1.5)), Status.FAILURE],
      [() => Promise.reject(Object.create(null)), Status.FAILURE],
      [() => new OtherPromise(Promise.resolve(Buffer.from('ok'))), Status.SUCCESS],
      [() => new OtherPromise(Promise.reject(unknownMethod())), Status.UNKNOWN_METHOD],
      // What another server said to the handler is no answer of its own.
      [() => Promise.reject(new ConclaveError('METHOD_NOT_FOUND', 'x', { data: { status: 4 } })), Status.FAILURE],
      [() => 'text', Status.FAILED_MARSHAL],
      [() => 5, Status.FAILED_MARSHAL],
    ]
    const methods = Object.fromEntries(
      handlers.map(([handle], index) => [`m${index}`, defineMethod({ id: index, handle: handle as () => undefined })]),
    )
    const { path } = await serve(t, {}, defineModule({ id: 8, methods }))
    const client = await dial(t, path)
    for (const [index, [, status]] of handlers.entries()) {
      const response = await client.sendMsg({ module: 8, method: index })
      assert.equal(response.status, status, `m${index}`)
      if (status !== Status.SUCCESS) assert.equal(response.body.length, 0)
    }
  })

  test('handleCall gets what no method is for; marshal and unmarshal are for it', async (t) => {
    const open = defineModule({
      id: 9,
      methods: { one: defineMethod({ id: 1, handle: () => Buffer.from('one') }) },
      handleCall: async (method, body) => {
        if (method === 404) throw unknownMethod()
        const { value } = await unmarshal(StringValueSchema, body)
        return marshal(StringValueSchema, { value: `${method} ${value}` })
      },
    })
    const { path } = await serve(t, {}, open)
    const client = await dial(t, path)
    const say = async (method: number): Promise<string> => {
      const { body, status } = await client.sendMsg({
        module: 9,
        method,
        body: await marshal(StringValueSchema, { value: 'x' }),
      })
      return status === Status.SUCCESS ? Buffer.from(body).toString() : String(status)
    }
    assert.equal(await say(1), 'one')
    assert.equal((await unmarshal(StringValueSchema, Buffer.from(await say(55)))).value, '55 x')
    assert.equal(await say(404), String(Status.UNKNOWN_METHOD))
    const broken = await client.sendMsg({ module: 9, method: 55, body: Uint8Array.of(0xff) })
    assert.equal(broken.status, Status.FAILED_UNMARSHAL_PAYLOAD)
  })

  test('the handler knows its caller', async (t) => {
    const seen: CallContext[] = []
    const spy = defineModule({
      id: 10,
      methods: { look: defineMethod({ id: 3, handle: (_body, context) => void seen.push(context) }) },
    })
    const { server, path } = await serve(t, {}, spy)
    const client = await dial(t, path)
    await client.call(spy.methods.look, undefined)
    await client.call(spy.methods.look, undefined)
    const [first, second] = seen
    assert.deepEqual(first?.caller, { uid: process.geteuid?.(), gid: process.getegid?.(), pid: process.pid })
    assert.deepEqual([first?.module, first?.method, first?.sequence, second?.sequence], [10, 3, 1n, 2n])
    assert.equal(first?.session, second?.session)
    assert.ok(server.sessions.has(first?.session as Session))
    assert.equal(first?.signal.aborted, false)
  })

  test('what can’t be registered', async (t) => {
    const { server } = await serve(t)
    assert.throws(() => server.registerModule(defineModule({ id: MODULE })), is('CONFLICT'))
    const idle = defineModule({ id: 11, methods: { nothing: defineMethod({ id: 1 }) } })
    assert.throws(() => server.registerModule(idle), is('INVALID_OPTION'))
    assert.throws(() => defineModule({ id: 2 ** 31 }), is('INVALID_OPTION'))
    const twice = { a: defineMethod({ id: 1 }), b: defineMethod({ id: 1 }) }
    assert.throws(() => defineModule({ id: 1, methods: twice }), is('INVALID_OPTION'))
  })
})

describe('order', { skip: needsLinux || needsPython }, () => {
  const sequenceOf = async (peer: RawPeer): Promise<bigint> =>
    codec.decodeResponse(Buffer.from(await peer.receive(), 'hex').subarray(24)).sequence

  test('in order by default: the next call begins when the one before is answered', async (t) => {
    const { path, gate } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow, sequence: 1n }), ...callPackets({ sequence: 2n }))
    await stillServes(t, path)
    assert.equal(gate.entered, 1)
    gate.open()
    assert.deepEqual([await sequenceOf(peer), await sequenceOf(peer)], [1n, 2n])
  })

  test('any-order: as they end', async (t) => {
    const { path, gate } = await serve(t, { answers: 'any-order' })
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow, sequence: 1n }), ...callPackets({ sequence: 2n }))
    assert.equal(await sequenceOf(peer), 2n)
    gate.open()
    assert.equal(await sequenceOf(peer), 1n)
  })

  test('a peer that ends its side still gets the answers it waits for', async (t) => {
    const { server, path, gate } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow, sequence: 1n }), ...callPackets({ sequence: 2n }))
    await peer.shutdown()
    await until(() => gate.entered === 1, 'the handler at work')
    gate.open()
    assert.deepEqual([await sequenceOf(peer), await sequenceOf(peer)], [1n, 2n])
    assert.equal(await peer.receive(), 'EOF')
    await until(() => server.sessions.size === 0, 'the session to end')
  })

  test('a peer that leaves aborts its call', async (t) => {
    const { path, gate, errors } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow }))
    await until(() => gate.entered === 1, 'the handler at work')
    peer.kill()
    await until(() => errors.length === 1, 'the handler to be aborted')
    assert.ok(ConclaveError.is(errors[0], 'DISCONNECTED'))
  })

  const more = callPackets({ sequence: 2n })[0] as string
  for (const [when, leave] of [
    ['has filled its queue', (peer: RawPeer) => peer.send(...Array<string>(MAX_QUEUED_CALLS).fill(more))],
    ['has sent a faulty packet', (peer: RawPeer) => peer.send('010203')],
    ['has ended its side', (peer: RawPeer) => peer.shutdown()],
  ] as const) {
    test(`PEER_CHECK_MS: also one that ${when}, and is not read any more`, async (t) => {
      const { server, path, gate, errors } = await serve(t)
      const peer = await RawPeer.start(t, 'client', path)
      await peer.send(...callPackets({ method: METHOD.slow }))
      await until(() => gate.entered === 1, 'the handler at work')
      await leave(peer)
      // Whatever it sent is read, or it is not read any more.
      await stillServes(t, path)
      peer.kill()
      await until(() => errors.some(is('DISCONNECTED')), 'the handler to be aborted')
      await until(() => server.sessions.size === 0, 'the session to end')
    })
  }

  test('what was right before a fault is answered before the session ends', async (t) => {
    const { path, gate } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(
      ...callPackets({ method: METHOD.slow, sequence: 1n }),
      '040000000000000004000000000000000000000001000000ffffffff',
    )
    await until(() => gate.entered === 1, 'the handler at work')
    gate.open()
    assert.deepEqual([await sequenceOf(peer), await sequenceOf(peer)], [1n, -1n])
    assert.equal(await peer.receive(), 'EOF')
  })
})

describe('bounds', { skip: needsLinux || needsPython }, () => {
  test('maxSessions: one more is closed at once, and counted', async (t) => {
    const { server, path } = await serve(t, { maxSessions: 2 })
    const [first] = [await dial(t, path), await dial(t, path)]
    await until(() => server.sessions.size === 2, 'two sessions')
    const third = new ClientConnection(path)
    await third.connect()
    await until(() => !third.isConnected, 'the third to be closed')
    assert.equal(server.refusedSessions, 1)
    await first.close()
    await until(() => server.sessions.size === 1, 'room again')
    await stillServes(t, path)
    third.abort()
  })

  test('maxQueuedCalls: a flood is not read on, costs the others nothing, and is answered to the last', async (t) => {
    const { path, gate } = await serve(t, { maxQueuedCalls: 4 })
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow, sequence: 0n }))
    await until(() => gate.entered === 1, 'the handler at work')
    const most = 2000
    let sent = 0
    // Whatever was read between two floods would make room for more.
    for (let round = 0; round < 30; round++) {
      sent += await peer.flood(callPackets({ sequence: 5n })[0] as string, most - sent)
      await stillServes(t, path)
    }
    assert.ok(sent < most, `${sent} taken`)
    gate.open()
    for (let answers = 0; answers <= sent; answers++) assert.notEqual(await peer.receive(), 'EOF')
  })

  test('maxQueuedBytes: as above, by size', async (t) => {
    const { path, gate } = await serve(t, { maxQueuedBytes: 200_000, maxQueuedCalls: 1000 })
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send(...callPackets({ method: METHOD.slow, sequence: 0n }))
    await until(() => gate.entered === 1, 'the handler at work')
    let sent = 0
    for (let round = 0; round < 30; round++) {
      sent += await peer.flood(callPackets({ body: pattern(100_000) })[0] as string, 100 - sent)
      await stillServes(t, path)
    }
    assert.ok(sent < 20, `${sent} taken`)
    gate.open()
    for (let answers = 0; answers <= sent; answers++) assert.notEqual(await peer.receive(), 'EOF')
  })

  test('maxBufferedBytes: the session that asks for more than all may hold is ended', async (t) => {
    const { path, errors } = await serve(t, { maxBufferedBytes: 250_000 })
    const half = callPackets({ body: pattern(200_000) })[0] as string
    const first = await RawPeer.start(t, 'client', path)
    await first.send(half)
    const second = await RawPeer.start(t, 'client', path)
    await second.send(half)
    assert.equal(await second.receive(), 'EOF')
    assert.ok(ConclaveError.is(errors[0], 'OVERLOADED'))
    await first.send(callPackets({ body: pattern(200_000) })[1] as string)
    assert.notEqual(await first.receive(), 'EOF')
    await stillServes(t, path)
  })

  test('maxMessageBytes: calls over it are refused, answers become FAILED_MARSHAL', async (t) => {
    const big = defineModule({ id: 12, methods: { big: defineMethod({ id: 1, handle: () => new Uint8Array(2000) }) } })
    const { path, errors } = await serve(t, { maxMessageBytes: 1000 }, big)
    const client = await dial(t, path)
    assert.equal((await client.sendMsg({ module: 12, method: 1 })).status, Status.FAILED_MARSHAL)
    assert.equal(
      (await client.sendMsg({ module: MODULE, method: METHOD.echo, body: pattern(980) })).status,
      Status.SUCCESS,
    )
    assert.equal(
      (await client.sendMsg({ module: MODULE, method: METHOD.echo, body: pattern(1000) })).status,
      Status.FAILED_UNMARSHAL_CALL,
    )
    assert.deepEqual(
      errors.map((error) => ConclaveError.is(error, 'TOO_LARGE')),
      [true, true],
    )
  })

  test('maxCallsInFlight: no more run at once', async (t) => {
    const { path, gate } = await serve(t, { answers: 'any-order', maxCallsInFlight: 3 })
    const client = await dial(t, path, { maxCallsInFlight: 10 })
    const calls = Array.from({ length: 10 }, () => client.sendMsg({ module: MODULE, method: METHOD.slow }))
    await until(() => gate.entered === 3, 'three at work')
    await stillServes(t, path)
    for (let done = 1; done <= 7; done++) {
      gate.open(1)
      await until(() => gate.entered === 3 + done, 'the next')
    }
    gate.open()
    await Promise.all(calls)
  })

  test('writeTimeoutMs: a peer that does not read its answer is left', async (t) => {
    const { server, path, errors } = await serve(t, { writeTimeoutMs: 100 })
    const peer = await RawPeer.start(t, 'client', path)
    const huge = callPackets({ body: pattern(8 << 20) })
    await peer.send(...huge)
    await until(() => errors.some(is('TIMEOUT')), 'it to be given up')
    await until(() => server.sessions.size === 0, 'the session to end')
    await stillServes(t, path)
  })

  test('LINGER_MS: nor is a faulty peer waited for that does not leave', async (t) => {
    const { server, path } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send('010203')
    assert.equal(await peer.receive(), 'EOF')
    await until(() => server.sessions.size === 0, 'the session to end')
  })

  test('PACKET_BYTES: a longer packet ends its session, and is told', async (t) => {
    const { server, path, errors } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    await peer.send('00'.repeat(PACKET_BYTES + 1))
    await until(() => errors.length > 0 && server.sessions.size === 0, 'the session to end')
    assert.deepEqual(
      errors.map((error) => ConclaveError.is(error) && error.data),
      [{ errno: 'EMSGSIZE' }],
    )
    await stillServes(t, path)
  })

  test('100 sessions at once, each with its own answers', async (t) => {
    const { path } = await serve(t)
    const clients = await Promise.all(Array.from({ length: 100 }, () => dial(t, path)))
    await Promise.all(
      clients.map(async (client, index) => {
        for (let count = 0; count < 20; count++) {
          const sent = pattern(count === 10 ? 300_000 : 100, index + count)
          const { body } = await client.sendMsg({ module: MODULE, method: METHOD.echo, body: sent })
          assert.ok(Buffer.from(body).equals(sent))
        }
      }),
    )
  })
})

describe('the life of a server', { skip: needsLinux }, () => {
  test('each method in each state', async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const server = new DomainSocketServer({ path })
    assert.equal(server.isListening, false)
    await server.start()
    assert.equal(server.isListening, true)
    await assert.rejects(server.start(), is('CONFLICT'))
    server.registerModule(defineModule({ id: 1 }))
    const closing = server.shutdown()
    assert.equal(server.shutdown(), closing)
    assert.throws(() => server.registerModule(defineModule({ id: 2 })), is('CLOSED'))
    await assert.rejects(server.start(), is('CLOSED'))
    await closing
    assert.equal(server.isListening, false)
    await assert.rejects(server.start(), is('CLOSED'))
    await server.shutdown({ drain: false })
    await new DomainSocketServer({ path }).shutdown()
  })

  test('shutdown while it starts', async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const server = new DomainSocketServer({ path })
    const starting = server.start()
    const closing = server.shutdown()
    await assert.rejects(starting, is('CLOSED'))
    await closing
    assert.equal(existsSync(path), false)
    const next = new DomainSocketServer({ path })
    await next.start()
    await next.shutdown()
  })

  test('a start that failed may be tried again', async (t) => {
    const { server, path } = await serve(t)
    const next = new DomainSocketServer({ path })
    await assert.rejects(next.start(), is('SOCKET_IN_USE'))
    await server.shutdown()
    await next.start()
    await next.shutdown()
  })

  test('shutdown answers what was received; nobody new gets in', async (t) => {
    const { server, path, gate } = await serve(t)
    const client = await dial(t, path)
    const call = client.sendMsg({ module: MODULE, method: METHOD.slow, body: pattern(3) })
    await until(() => gate.entered === 1, 'the handler at work')
    const closing = server.shutdown()
    await assert.rejects(new ClientConnection(path).connect(), is('DISCONNECTED'))
    gate.open()
    assert.equal((await call).status, Status.SUCCESS)
    await closing
    assert.equal(client.isConnected, false)
  })

  test('shutdown({ drain: false }) aborts, also a shutdown that drains', async (t) => {
    const { server, path, gate, errors } = await serve(t)
    const client = await dial(t, path)
    const call = assert.rejects(client.sendMsg({ module: MODULE, method: METHOD.slow }), is('DISCONNECTED'))
    await until(() => gate.entered === 1, 'the handler at work')
    const closing = server.shutdown()
    await server.shutdown({ drain: false })
    await closing
    await call
    await until(() => errors.length === 1, 'the handler to be aborted')
  })

  test('DRAIN_TIMEOUT_MS: a handler that never ends does not hold it', async (t) => {
    const { server, path, gate } = await serve(t)
    const client = await dial(t, path)
    const call = assert.rejects(client.sendMsg({ module: MODULE, method: METHOD.slow }), is('DISCONNECTED'))
    await until(() => gate.entered === 1, 'the handler at work')
    await server.shutdown({ timeoutMs: 20 })
    await call
  })

  test('a handler may close its own session, and shut the server down', async (t) => {
    const leave = defineModule({
      id: 13,
      methods: {
        close: defineMethod({ id: 1, handle: (_body, { session }) => session.close() }),
        stop: defineMethod({ id: 2, handle: () => void server.shutdown() }),
      },
    })
    const { server, path } = await serve(t, {}, leave)
    const client = await dial(t, path)
    await assert.rejects(client.call(leave.methods.close, undefined), is('DISCONNECTED'))
    const other = await dial(t, path)
    await other.call(leave.methods.stop, undefined)
    await server.shutdown()
  })

  test('a directory that does not exist: INTERNAL with the errno', async (t) => {
    const server = new DomainSocketServer({ path: join(temporaryDirectory(t), 'none', 's') })
    await assert.rejects(server.start(), (error) => {
      return ConclaveError.is(error, 'INTERNAL') && (error.data as { errno: string }).errno === 'ENOENT'
    })
  })

  test('options that are wrong', () => {
    const wrong: readonly Partial<ServerOptions>[] = [
      { path: '' },
      { mode: 0o1000 },
      { mode: -1 },
      { answers: 'maybe' as 'in-order' },
      { maxSessions: 0 },
      { maxMessageBytes: Number.NaN },
      { maxQueuedCalls: '5' as unknown as number },
    ]
    for (const options of wrong)
      assert.throws(() => new DomainSocketServer({ path: 'x', ...options }), is('INVALID_OPTION'))
  })

  test('elsewhere than on Linux: UNSUPPORTED', async () => {
    const platform = posixPlatform()
    assert.throws(() => packetTransport(platform, { ...native(), packetBuffer: () => undefined }), is('UNSUPPORTED'))
  })
})

describe('B18 who gets in', { skip: needsLinux || needsRoot }, () => {
  for (const [mode, admits, outcome] of [
    [0o600, undefined, 'FORBIDDEN'],
    [0o666, undefined, 'connected'],
    [0o666, false, 'closed'],
  ] as const) {
    test(`mode ${mode.toString(8)}${admits === undefined ? '' : ', nobody admitted'}: a stranger is ${outcome}`, async (t) => {
      const path = join(openDirectory(t, { forAll: true }), 's')
      await serve(t, { path, mode, ...(admits === undefined ? {} : { admits: () => admits }) })
      const program = startProgram(t, 'dialects/drpc/programs/stranger.ts', [String(STRANGER), path])
      assert.equal(await program.line(), outcome)
    })
  }
})
