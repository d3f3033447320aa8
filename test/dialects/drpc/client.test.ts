import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { StringValueSchema } from '@bufbuild/protobuf/wkt'
import {
  ClientConnection,
  defineMethod,
  defineModule,
  isFailure,
  Status,
  type Response,
} from '../../../src/dialects/drpc/index.ts'
import { packetsOf } from '../../../src/dialects/drpc/chunks.ts'
import { MAX_GIVEN_UP } from '../../../src/dialects/drpc/limits.ts'
import { ConclaveError, type Code } from '../../../src/errors/index.ts'
import { packetTransport, type PacketConnection, type PacketTransport } from '../../../src/transport/index.ts'
import { defer, temporaryDirectory, until } from '../../support/index.ts'
import { start } from '../../platform/support.ts'
import {
  codec,
  compiledPeer,
  dial,
  METHOD,
  MODULE,
  needsCompiler,
  needsLinux,
  needsPython,
  pattern,
  RawPeer,
  serve,
} from './support.ts'

const is =
  (code: Code, outcome?: string) =>
  (error: unknown): boolean =>
    ConclaveError.is(error, code) && (outcome === undefined || error.outcome === outcome)
const echo = { module: MODULE, method: METHOD.echo }
const slow = { module: MODULE, method: METHOD.slow }

describe('calls', { skip: needsLinux }, () => {
  test('several in flight, answered in any order, each to its caller', async (t) => {
    const { path, gate } = await serve(t, { answers: 'any-order' })
    const client = await dial(t, path, { maxCallsInFlight: 8 })
    const first = client.sendMsg({ ...slow, body: pattern(4) })
    const rest = await Promise.all([1, 2, 3].map((seed) => client.sendMsg({ ...echo, body: pattern(200_000, seed) })))
    for (const [index, { body, sequence }] of rest.entries()) {
      assert.ok(Buffer.from(body).equals(pattern(200_000, index + 1)))
      assert.equal(sequence, BigInt(index + 2))
    }
    gate.open()
    assert.deepEqual([...(await first).body], [0, 1, 2, 3])
  })

  test('one at a time unless told otherwise', async (t) => {
    const { path, gate } = await serve(t, { answers: 'any-order' })
    const client = await dial(t, path)
    const order: string[] = []
    const calls = [
      client.sendMsg(slow).then(() => order.push('slow')),
      client.sendMsg(echo).then(() => order.push('echo')),
    ]
    await until(() => gate.entered === 1, 'the handler at work')
    for (let count = 0; count < 20; count++) await turn()
    assert.equal(client.pendingCalls, 2)
    gate.open()
    await Promise.all(calls)
    assert.deepEqual(order, ['slow', 'echo'])
  })

  test('a status is a value for sendMsg, an error with its name for call', async (t) => {
    const { path } = await serve(t)
    const client = await dial(t, path)
    assert.equal((await client.sendMsg({ module: 5, method: 1 })).status, Status.UNKNOWN_MODULE)
    const calls: readonly (readonly [number, number, Code, string])[] = [
      [5, 1, 'METHOD_NOT_FOUND', 'UNKNOWN_MODULE'],
      [MODULE, 99, 'METHOD_NOT_FOUND', 'UNKNOWN_METHOD'],
      [MODULE, METHOD.unmarshal, 'INVALID_PARAMS', 'FAILED_UNMARSHAL_PAYLOAD'],
      [MODULE, METHOD.fail, 'FAILED', 'FAILURE'],
      [MODULE, METHOD.submitted, 'FAILED', 'SUBMITTED'],
    ]
    for (const [id, method, code, reason] of calls) {
      const { methods } = defineModule({ id, name: 'other', methods: { it: defineMethod({ id: method }) } })
      await assert.rejects(client.call(methods.it, undefined), (error) => {
        assert.ok(ConclaveError.is(error, code))
        assert.equal(error.reason, reason)
        assert.deepEqual(error.data, { status: Status[reason as keyof typeof Status] })
        return true
      })
    }
    const raw = defineModule({ id: MODULE, methods: { echo: defineMethod({ id: METHOD.echo }) } })
    assert.deepEqual([...(await client.call(raw.methods.echo, pattern(3)))], [0, 1, 2])
    // @ts-expect-error text is no bytes
    await assert.rejects(client.call(raw.methods.echo, 'text'), is('INVALID_PARAMS'))
    assert.equal(client.isConnected, true)
  })

  test('an answer that does not fit its schema is the fault of nobody’s params, and has no status', async (t) => {
    const { path } = await serve(t)
    const client = await dial(t, path)
    const it = defineMethod({ id: METHOD.echo, response: StringValueSchema })
    const { methods } = defineModule({ id: MODULE, methods: { it } })
    await assert.rejects(client.call(methods.it, Uint8Array.of(0xff)), (error) => {
      assert.ok(ConclaveError.is(error, 'INVALID_RESULT'))
      assert.deepEqual([error.reason, error.data, isFailure(error)], [undefined, undefined, false])
      return true
    })
  })

  test('deadlines: at work, and while it waits for its turn', async (t) => {
    const { path, gate } = await serve(t)
    const client = await dial(t, path, { timeoutMs: 50 })
    const stuck = client.sendMsg({ ...slow }, { timeoutMs: Infinity })
    await until(() => gate.entered === 1, 'the handler at work')
    await assert.rejects(client.sendMsg(echo), is('TIMEOUT', 'not-committed'))
    gate.open()
    await stuck
    await assert.rejects(client.sendMsg(slow), is('TIMEOUT', 'unknown'))
    await until(() => gate.entered === 2, 'the handler at work')
    // Its late answer is thrown away; the connection goes on.
    gate.open()
    assert.equal((await client.sendMsg(echo, { timeoutMs: 30_000 })).status, Status.SUCCESS)
  })

  test('abort: before, while it waits, and at work', async (t) => {
    const { path, gate } = await serve(t)
    const client = await dial(t, path)
    await assert.rejects(client.sendMsg(echo, { signal: AbortSignal.abort('why') }), (error) => {
      return ConclaveError.is(error, 'ABORTED') && error.outcome === 'not-committed' && error.cause === 'why'
    })
    const controller = new AbortController()
    const { signal } = controller
    const atWork = assert.rejects(client.sendMsg(slow, { signal }), is('ABORTED', 'unknown'))
    const waiting = assert.rejects(client.sendMsg(echo, { signal }), is('ABORTED', 'not-committed'))
    await until(() => gate.entered === 1, 'the handler at work')
    controller.abort()
    await Promise.all([atWork, waiting])
    gate.open()
    assert.equal((await client.sendMsg(echo)).status, Status.SUCCESS)
  })

  test('bounds: maxPendingCalls, maxPendingBytes, maxMessageBytes', async (t) => {
    const big = defineModule({ id: 12, methods: { big: defineMethod({ id: 1, handle: () => new Uint8Array(2000) }) } })
    const { path, gate } = await serve(t, {}, big)
    const client = await dial(t, path, { maxPendingCalls: 3, maxPendingBytes: 100, maxMessageBytes: 1000 })
    const calls = [client.sendMsg(slow), client.sendMsg({ ...echo, body: pattern(60) })]
    await assert.rejects(client.sendMsg({ ...echo, body: pattern(60) }), is('OVERLOADED'))
    calls.push(client.sendMsg({ ...echo, body: pattern(40) }))
    await assert.rejects(client.sendMsg(echo), is('OVERLOADED'))
    await until(() => gate.entered === 1, 'the handler at work')
    gate.open()
    await Promise.all(calls)
    await assert.rejects(client.sendMsg({ ...echo, body: pattern(1001) }), is('TOO_LARGE'))
    // The whole message counts, not its body alone: nothing was sent, the connection goes on.
    await assert.rejects(client.sendMsg({ ...echo, body: pattern(992) }), is('TOO_LARGE'))
    assert.equal((await client.sendMsg({ ...echo, body: pattern(991) })).status, Status.SUCCESS)
    // An answer over the cap: the server is not believed.
    await assert.rejects(client.sendMsg({ module: 12, method: 1 }), is('TOO_LARGE', 'unknown'))
    assert.equal(client.isConnected, false)
  })

  test('MAX_GIVEN_UP: a server that never answers is left', async (t) => {
    const { path } = await serve(t, { answers: 'any-order' })
    const client = await dial(t, path, { maxCallsInFlight: Infinity, maxPendingCalls: Infinity })
    const controller = new AbortController()
    const calls = Array.from({ length: MAX_GIVEN_UP + 1 }, () => client.sendMsg(slow, { signal: controller.signal }))
    const outcomes = Promise.allSettled(calls)
    assert.equal(client.isConnected, true)
    controller.abort()
    await outcomes
    assert.equal(client.isConnected, false)
  })

  test('wrong options and calls', async (t) => {
    for (const options of [{ timeoutMs: 0 }, { maxCallsInFlight: 0 }, { maxMessageBytes: Number.NaN }]) {
      assert.throws(() => new ClientConnection('x', options), is('INVALID_OPTION'))
    }
    const { path } = await serve(t)
    const client = await dial(t, path)
    await assert.rejects(client.sendMsg({ module: 2 ** 31, method: 1 }), is('INVALID_OPTION'))
    await assert.rejects(client.sendMsg(echo, { timeoutMs: -1 }), is('INVALID_OPTION'))
    await assert.rejects(client.sendMsg({ ...echo, body: 'text' as unknown as Uint8Array }), is('INVALID_OPTION'))
    assert.equal((await client.sendMsg(echo)).status, Status.SUCCESS)
  })
})

describe('connecting', { skip: needsLinux }, () => {
  test('nobody there', async (t) => {
    const client = new ClientConnection(join(temporaryDirectory(t), 's'))
    await assert.rejects(client.connect(), (error) => {
      return ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === 'ENOENT'
    })
    await assert.rejects(client.sendMsg(echo), is('DISCONNECTED', 'not-committed'))
  })

  test('not connected yet', async (t) => {
    const { path } = await serve(t)
    const client = new ClientConnection(path)
    assert.equal(client.isConnected, false)
    assert.equal(client.socketPath, path)
    await assert.rejects(client.sendMsg(echo), is('DISCONNECTED', 'not-committed'))
    const connecting = client.connect()
    await client.connect()
    await connecting
    await client.connect()
    assert.equal(client.isConnected, true)
    await client.close()
  })

  test(
    'F6 no room at the server: tried until there is, or until the time is over',
    { skip: needsPython },
    async (t) => {
      const path = join(temporaryDirectory(t), 's')
      const peer = await RawPeer.start(t, 'server', path)
      const crowd: PacketConnection[] = []
      t.after(() => {
        for (const one of crowd) one.close()
      })
      const full = (error: unknown): boolean =>
        ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === 'EAGAIN'
      // It accepts only when it is told to.
      assert.throws(() => {
        for (;;) crowd.push(packetTransport().connect(path))
      }, full)
      await assert.rejects(new ClientConnection(path, { connectTimeoutMs: 0 }).connect(), full)
      const patient = new ClientConnection(path, { connectTimeoutMs: 60_000 })
      defer(t, () => patient.abort())
      const connected = patient.connect()
      for (let count = 0; count < 20; count++) await turn()
      assert.equal(patient.isConnected, false)
      await peer.accept()
      await connected
      assert.equal(patient.isConnected, true)
    },
  )

  test('a lost connection fails what was sent as unknown, what waits as not-committed', async (t) => {
    const { server, path, gate } = await serve(t)
    const client = await dial(t, path)
    const sent = assert.rejects(client.sendMsg(slow), is('DISCONNECTED', 'unknown'))
    const waiting = assert.rejects(client.sendMsg(echo), is('DISCONNECTED', 'not-committed'))
    await until(() => gate.entered === 1, 'the handler at work')
    await server.shutdown({ drain: false })
    await Promise.all([sent, waiting])
    await assert.rejects(client.sendMsg(echo), is('DISCONNECTED', 'not-committed'))
  })

  test('reconnect: what waits, and what comes later, goes to the next server; sequences begin at 1 again', async (t) => {
    const { server, path, gate } = await serve(t)
    const client = await dial(t, path, { reconnect: true })
    await client.sendMsg(echo)
    const sent = assert.rejects(client.sendMsg(slow), is('DISCONNECTED', 'unknown'))
    const waiting = client.sendMsg(echo)
    await until(() => gate.entered === 1, 'the handler at work')
    await server.shutdown({ drain: false })
    await sent
    const later = client.sendMsg(echo)
    await serve(t, { path })
    assert.equal((await waiting).sequence, 1n)
    assert.equal((await later).sequence, 2n)
    await client.close()
  })

  test('reconnect: nobody comes, and the call has its deadline', async (t) => {
    const { server, path } = await serve(t)
    const client = await dial(t, path, { reconnect: true })
    await server.shutdown()
    await until(() => !client.isConnected, 'the end to be seen')
    await assert.rejects(client.sendMsg(echo, { timeoutMs: 30 }), is('TIMEOUT', 'not-committed'))
    await client.close()
  })

  test('reconnect: who calls again as soon as a call has failed gets an attempt of his own', async (t) => {
    let trusted = true
    const { server, path } = await serve(t)
    const client = await dial(t, path, { reconnect: true, trusts: () => trusted })
    await server.shutdown()
    await until(() => !client.isConnected, 'the end to be seen')
    await serve(t, { path })
    trusted = false
    const again = client.sendMsg(echo).catch((error: unknown) => {
      assert.ok(is('FORBIDDEN', 'not-committed')(error))
      trusted = true
      return client.sendMsg(echo, { timeoutMs: 30_000 })
    })
    assert.equal((await again).status, Status.SUCCESS)
  })

  test('reconnect: a connect() that fails is not the last attempt for the calls that wait', async (t) => {
    const { server, path } = await serve(t)
    const real = packetTransport()
    let onAttempt = (): void => {}
    const transport: PacketTransport = {
      listen: (...given) => real.listen(...given),
      connect: (...given) => {
        onAttempt()
        return real.connect(...given)
      },
    }
    const client = await dial(t, path, { reconnect: true, transport })
    await server.shutdown()
    await until(() => !client.isConnected, 'the end to be seen')
    let call: Promise<Response> | undefined
    onAttempt = () => {
      call ??= client.sendMsg(echo, { timeoutMs: 30_000 })
    }
    await assert.rejects(client.connect(), is('DISCONNECTED'))
    await serve(t, { path })
    assert.equal((await call)?.status, Status.SUCCESS)
  })

  test('reconnect: close ends when nothing waits any more, whatever became of it', async (t) => {
    let trusted = true
    const { server, path, gate } = await serve(t)
    const client = await dial(t, path, { reconnect: true, trusts: () => trusted })
    const sent = assert.rejects(client.sendMsg(slow), is('DISCONNECTED', 'unknown'))
    const waiting = assert.rejects(client.sendMsg(echo), is('FORBIDDEN', 'not-committed'))
    await until(() => gate.entered === 1, 'the handler at work')
    let closed = false
    const closing = client.close().then(() => (closed = true))
    trusted = false
    await server.shutdown({ drain: false })
    await serve(t, { path })
    await Promise.all([sent, waiting])
    await until(() => closed, 'close to end')
    await closing
  })

  test('connect after a loss that was not heard of yet: what the server said before is read first', async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const accepted = new Promise<PacketConnection>((resolve) => {
      const listener = packetTransport().listen(path, { backlog: 1, onError: assert.fail, onConnection: resolve })
      t.after(() => listener.close())
    })
    const client = await dial(t, path)
    const connection = await accepted
    const answered = client.sendMsg(echo)
    await new Promise<void>((resolve) => {
      connection.handlers = { onData: () => resolve(), onEnd() {}, onDrain() {}, onClose() {} }
    })
    const packet = packetsOf(codec.encodeResponse({ sequence: 1n, status: 0 }).head)[0] as Uint8Array
    connection.write(packet, 0, packet.length)
    connection.close()
    // Within the same turn.
    assert.equal(client.isConnected, false)
    const connecting = client.connect()
    assert.equal((await answered).status, Status.SUCCESS)
    await connecting
    assert.equal(client.isConnected, true)
  })

  test('connect again after a loss', async (t) => {
    const { server, path } = await serve(t)
    const client = await dial(t, path)
    await server.shutdown()
    await serve(t, { path })
    await client.connect()
    assert.equal((await client.sendMsg(echo)).sequence, 1n)
  })

  test('close waits for what is under way, takes nothing more, and is final', async (t) => {
    const { path, gate } = await serve(t)
    const client = await dial(t, path)
    const calls = [client.sendMsg(slow), client.sendMsg(echo)]
    await until(() => gate.entered === 1, 'the handler at work')
    const closing = client.close()
    assert.equal(client.close(), closing)
    await assert.rejects(client.sendMsg(echo), is('CLOSED'))
    await assert.rejects(client.connect(), is('CLOSED'))
    gate.open()
    for (const { status } of await Promise.all(calls)) assert.equal(status, Status.SUCCESS)
    await closing
    assert.equal(client.isConnected, false)
    await client.close()
  })

  test('abort is now', async (t) => {
    const { path, gate } = await serve(t)
    const client = await dial(t, path)
    const sent = assert.rejects(client.sendMsg(slow), is('ABORTED', 'unknown'))
    const waiting = assert.rejects(client.sendMsg(echo), is('ABORTED', 'not-committed'))
    await until(() => gate.entered === 1, 'the handler at work')
    client.abort(new Error('enough'))
    await Promise.all([sent, waiting])
    await client.close()
  })

  test('a server that is not trusted', async (t) => {
    const { path } = await serve(t)
    const client = new ClientConnection(path, { trusts: () => false })
    await assert.rejects(client.connect(), (error) => {
      assert.ok(ConclaveError.is(error, 'FORBIDDEN'))
      assert.match(error.message, /allow it by the option `trusts`/)
      assert.deepEqual(error.data, { path, uid: process.geteuid?.(), pid: process.pid })
      return true
    })
  })
})

describe('other servers', () => {
  test('a C server that answers the first call after the second', { skip: needsCompiler }, async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const program = start(t, await compiledPeer(t), ['late', path])
    assert.equal(await program.line(), 'ready')
    const client = await dial(t, path, { maxCallsInFlight: 2 })
    const answers = await Promise.all([1, 2].map((seed) => client.sendMsg({ ...echo, body: pattern(9, seed) })))
    assert.deepEqual(
      answers.map(({ body }) => body[0]),
      [1, 2],
    )
  })

  test('a server that dies under way: what it said is heard, then the calls fail', { skip: needsPython }, async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const peer = await RawPeer.start(t, 'server', path)
    const client = await dial(t, path, { maxCallsInFlight: 2 })
    await peer.accept()
    const first = client.sendMsg(echo)
    const second = assert.rejects(client.sendMsg(echo), is('DISCONNECTED', 'unknown'))
    await peer.receive()
    const answer = codec.encodeResponse({ sequence: 1n, status: 0 }).head
    await peer.send(Buffer.from(packetsOf(answer)[0] as Uint8Array).toString('hex'))
    peer.kill()
    assert.equal((await first).status, Status.SUCCESS)
    await second
  })

  test('refused without a sequence: it is the one under way that is meant', { skip: needsPython }, async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const peer = await RawPeer.start(t, 'server', path)
    const client = await dial(t, path)
    defer(t, () => client.abort())
    await peer.accept()
    const call = client.sendMsg(echo)
    await peer.receive()
    await peer.send('0d000000000000000d00000000000000000000000100000008ffffffffffffffffff011005')
    assert.equal((await call).status, Status.FAILED_UNMARSHAL_CALL)
    assert.equal(client.isConnected, true)
  })

  for (const [what, packet] of [
    ['a lying header', '640000000000000064000000000000000000000001000000082a1001180522026869'],
    ['no protobuf', '040000000000000004000000000000000000000001000000ffffffff'],
    ['three bytes', '010203'],
  ] as const) {
    test(`${what} from the server: PROTOCOL`, { skip: needsPython }, async (t) => {
      const path = join(temporaryDirectory(t), 's')
      const peer = await RawPeer.start(t, 'server', path)
      const client = await dial(t, path)
      await peer.accept()
      const call = assert.rejects(client.sendMsg(echo), is('PROTOCOL', 'unknown'))
      await peer.receive()
      await peer.send(packet)
      await call
    })
  }
})
