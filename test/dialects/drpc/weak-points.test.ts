/** The weak points of the existing programs (their numbers in SEEDS.md 1.4), each shown not to be ours. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, lstatSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ClientConnection, DomainSocketServer, Status } from '../../../src/dialects/drpc/index.ts'
import { packetsOf, readHeader, writeHeader } from '../../../src/dialects/drpc/chunks.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { packetTransport, type Connection, type PacketTransport } from '../../../src/transport/index.ts'
import { execute, spawnProgram, temporaryDirectory, until } from '../../support/index.ts'
import { start } from '../../platform/support.ts'
import {
  callPackets,
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
  stillServes,
} from './support.ts'

const REFUSED = '0d000000000000000d00000000000000000000000100000008ffffffffffffffffff011005'
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** A packet whose header lies. */
function lie(header: Partial<ReturnType<typeof readHeader>>, data: string): string {
  const bytes = new Uint8Array(24 + data.length / 2)
  bytes.set(Buffer.from(data, 'hex'), 24)
  const length = data.length / 2
  writeHeader(bytes, { totalBytes: length, chunkBytes: length, index: 0, count: 1, ...header })
  return hex(bytes)
}

/** A call of echo: its body is 15 bytes, of which 0 came. */
const LONG_BODY = '082a10011805220f'

test(
  '1 a chunk that says it is longer than its packet is never read past what came',
  { skip: needsPython },
  async (t) => {
    const { path } = await serve(t)
    // Fills the receive buffer with something that must not come back.
    const secret = await RawPeer.start(t, 'client', path)
    await secret.send(...callPackets({ body: new Uint8Array(100_000).fill(0x5a) }))
    await secret.receive()
    for (const chunkBytes of [39, 300_000, 2 ** 32 + 23, 2 ** 62]) {
      const peer = await RawPeer.start(t, 'client', path)
      await peer.send(lie({ totalBytes: chunkBytes, chunkBytes }, LONG_BODY))
      assert.equal(await peer.receive(), REFUSED)
      assert.equal(await peer.receive(), 'EOF')
    }
    const empty = await RawPeer.start(t, 'client', path)
    await empty.send(lie({ totalBytes: 8, chunkBytes: 8 }, ''))
    assert.equal(await empty.receive(), REFUSED)
    await secret.works()
  },
)

test(
  '2 a huge total is refused before anything is allocated, and a large one costs what has arrived',
  { skip: needsPython },
  async (t) => {
    const { path, errors } = await serve(t)
    for (const totalBytes of [2 ** 62, 2 ** 40, (64 << 20) + 1]) {
      const peer = await RawPeer.start(t, 'client', path)
      await peer.send(lie({ totalBytes, count: 3 }, LONG_BODY))
      assert.equal(await peer.receive(), REFUSED)
      assert.ok(ConclaveError.is(errors.at(-1), 'TOO_LARGE'))
    }
    // As much as is allowed, from many at once, and only a few bytes of it.
    const before = process.memoryUsage().arrayBuffers
    for (let count = 0; count < 20; count++) {
      const peer = await RawPeer.start(t, 'client', path)
      assert.equal(await peer.send(lie({ totalBytes: 64 << 20, count: 1000 }, LONG_BODY)), undefined)
    }
    await stillServes(t, path)
    assert.ok(process.memoryUsage().arrayBuffers - before < 40 << 20)
  },
)

test(
  '3 a handler that throws ends nothing: its caller gets FAILURE, the others what they asked for',
  { skip: needsLinux },
  async (t) => {
    const { path, errors } = await serve(t)
    const client = await dial(t, path)
    const other = await dial(t, path)
    for (let count = 0; count < 3; count++) {
      assert.equal((await client.sendMsg({ module: MODULE, method: METHOD.fail })).status, Status.FAILURE)
    }
    assert.equal(errors.length, 3)
    assert.equal(errors[0]?.message, 'on purpose')
    assert.equal((await other.sendMsg({ module: MODULE, method: METHOD.echo })).status, Status.SUCCESS)
  },
)

test(
  '4 what an earlier packet left in the buffer is never taken for a part of a later one',
  { skip: needsPython },
  async (t) => {
    const { path } = await serve(t)
    const peer = await RawPeer.start(t, 'client', path)
    const good = callPackets({ body: pattern(15) })[0] as string
    await peer.send(good)
    const answer = await peer.receive()
    // The same call, cut: the missing bytes lie in the buffer from before.
    for (const cut of [1, 7, 14]) {
      const again = await RawPeer.start(t, 'client', path)
      await peer.send(good)
      assert.equal(await peer.receive(), answer)
      await again.send(good.slice(0, -2 * cut))
      assert.equal(await again.receive(), REFUSED)
    }
  },
)

test(
  '5 no message that encodes to nothing is ever sent: a C client lives, whose first call has sequence 0',
  { skip: needsCompiler },
  async (t) => {
    const { path } = await serve(t)
    const peer = await compiledPeer(t)
    for (const [method, size] of [
      [METHOD.empty, 0],
      [METHOD.echo, 0],
      [METHOD.echo, 5],
      [METHOD.echo, 400_000],
    ] as const) {
      const { code, stdout, stderr } = await execute(t, peer, [
        'client',
        path,
        String(MODULE),
        String(method),
        '3',
        String(size),
      ])
      assert.equal(stderr, '')
      assert.equal(code, 0)
      assert.equal(stdout, [0, 1, 2].map((sequence) => `${sequence} 0 ${size} equal\n`).join(''))
    }
  },
)

test('5 nor to a C server', { skip: needsCompiler }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const program = start(t, await compiledPeer(t), ['server', path])
  assert.equal(await program.line(), 'ready')
  const client = await dial(t, path)
  // Nothing but defaults, were it not for the sequence, which begins at 1.
  const first = await client.sendMsg({ module: 0, method: 0 })
  assert.deepEqual([first.sequence, first.status, first.body.length], [1n, 0, 0])
  for (const size of [1, 131_038, 131_039, 400_000]) {
    const { body } = await client.sendMsg({ module: 0, method: 0, body: pattern(size) })
    assert.ok(Buffer.from(body).equals(pattern(size)))
  }
  await client.close()
  const again = await dial(t, path)
  assert.equal((await again.sendMsg({ module: 1, method: 2 })).sequence, 1n)
})

test('6 the answer to a call that nobody waits for is not given to the next one', { skip: needsPython }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const peer = await RawPeer.start(t, 'server', path)
  const client = await dial(t, path)
  await peer.accept()
  const answer = (sequence: bigint, text: string): string =>
    hex(packetsOf(codec.encodeResponse({ sequence, status: 0, body: Buffer.from(text) }).head)[0] as Uint8Array)
  const given = new AbortController()
  const first = client.sendMsg({ module: 1, method: 1 }, { signal: given.signal })
  await peer.receive()
  given.abort()
  await assert.rejects(first, (error) => ConclaveError.is(error, 'ABORTED') && error.outcome === 'unknown')
  const second = client.sendMsg({ module: 1, method: 1 })
  await peer.receive()
  await peer.send(answer(1n, 'late'), answer(2n, 'mine'))
  assert.equal(Buffer.from((await second).body).toString(), 'mine')
  // An answer to what was never asked is no answer at all.
  const third = assert.rejects(
    client.sendMsg({ module: 1, method: 1 }),
    (error) => ConclaveError.is(error, 'PROTOCOL') && error.outcome === 'unknown',
  )
  await peer.receive()
  await peer.send(answer(999n, 'other'))
  await third
  assert.equal(client.isConnected, false)
})

test(
  '7 a session that announces more than it sends blocks nobody else, and is ended',
  { skip: needsPython },
  async (t) => {
    const { path, errors } = await serve(t, { messageTimeoutMs: 200 })
    const half = await RawPeer.start(t, 'client', path)
    await half.send(lie({ totalBytes: 100, count: 2 }, LONG_BODY))
    await stillServes(t, path)
    assert.equal(await half.receive(), 'EOF')
    assert.ok(errors.some((error) => ConclaveError.is(error, 'TIMEOUT')))
  },
)

test('8 the packets of two long answers are never mixed', { skip: needsPython }, async (t) => {
  const { path, gate } = await serve(t, { answers: 'any-order' })
  const peer = await RawPeer.start(t, 'client', path)
  const sizes = [1_500_000, 1_700_000, 300_000]
  for (const [index, size] of sizes.entries()) {
    await peer.send(...callPackets({ method: METHOD.slow, sequence: BigInt(index), body: pattern(size) }))
  }
  await until(() => gate.entered === 3, 'three handlers at work')
  gate.open()
  for (let answers = 0; answers < sizes.length; answers++) {
    let message = Buffer.alloc(0)
    for (let index = 0, count = 1; index < count; index++) {
      const packet = Buffer.from(await peer.receive(), 'hex')
      const header = readHeader(packet, 0)
      assert.equal(header.index, index)
      count = header.count
      message = Buffer.concat([message, packet.subarray(24)])
      assert.equal(header.totalBytes >= message.length, true)
    }
    const { sequence, body } = codec.decodeResponse(message)
    assert.equal(body.length, sizes[Number(sequence)])
  }
})

test('9 a failed accept is told, and accepting goes on', { skip: needsLinux }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const transport = packetTransport()
  let fail: (error: Error) => void = () => {}
  const watched: PacketTransport = {
    connect: (...given) => transport.connect(...given),
    listen: (at, options) => {
      fail = options.onError
      return transport.listen(at, options)
    },
  }
  const errors: Error[] = []
  const server = new DomainSocketServer({ path, transport: watched, onError: (error) => errors.push(error) })
  t.after(() => server.shutdown())
  await server.start()
  fail(new Error('EMFILE'))
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['EMFILE'],
  )
  // What really happens out of descriptors: test/transport, "accept reports it, does not spin, and goes on".
  const client = await dial(t, path)
  assert.equal(client.isConnected, true)
})

test('9 shutdown ends the sessions too', { skip: needsLinux }, async (t) => {
  const { server, path } = await serve(t)
  const client = await dial(t, path)
  await client.sendMsg({ module: MODULE, method: METHOD.echo })
  await server.shutdown()
  await until(() => !client.isConnected, 'the client to see it')
  assert.equal(existsSync(path), false)
})

test('9 the socket is never open wider than its mode', { skip: needsLinux }, async (t) => {
  // Between bind and listen: test/transport/packets.test.ts, with a spy in the process.
  for (const mode of [0o600, 0o660, 0o666]) {
    const { path } = await serve(t, { mode })
    assert.equal(statSync(path).mode & 0o777, mode)
  }
})

test('9 of many starters on a stale socket exactly one gets it, and it keeps it', { skip: needsLinux }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const file = join(import.meta.dirname, 'programs', 'starter.ts')
  const dead = spawnProgram(t, file, [path])
  await dead.ready()
  await dead.kill()
  assert.ok(lstatSync(path).isSocket(), 'the dead server left its file')
  const starters = Array.from({ length: 8 }, () => spawnProgram(t, file, [path, 'wait']))
  await Promise.all(starters.map((starter) => starter.next((said) => said['loaded'] === true)))
  for (const starter of starters) starter.send({ go: true })
  const outcomes = await Promise.all(
    starters.map((starter) => starter.next<{ outcome: string; pid: number }>((said) => 'outcome' in said)),
  )
  const serving = outcomes.filter(({ outcome }) => outcome === 'serving')
  assert.deepEqual(
    outcomes.filter(({ outcome }) => outcome !== 'serving').map(({ outcome }) => outcome),
    Array(7).fill('SOCKET_IN_USE'),
  )
  assert.equal(serving.length, 1)
  const client = await dial(t, path)
  assert.equal(Buffer.from((await client.sendMsg({ module: 1, method: 1 })).body).toString(), String(serving[0]?.pid))
  for (const starter of starters) starter.letGo()
})

test('9 a client whose server has left knows it at once', { skip: needsLinux }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const accepted = new Promise<Connection>((resolve) => {
    const listener = packetTransport().listen(path, { backlog: 1, onError: assert.fail, onConnection: resolve })
    t.after(() => listener.close())
  })
  const client = await dial(t, path)
  const connection = await accepted
  assert.equal(client.isConnected, true)
  connection.close()
  // Within the same turn: no event can have told it.
  assert.equal(client.isConnected, false)
})

test(
  '10 a path too long is refused, by both sides, and nothing is made under a shorter name',
  { skip: needsLinux },
  async (t) => {
    const folder = temporaryDirectory(t)
    const path = join(folder, 'x'.repeat(108 - folder.length - 1))
    const tooLong = (error: unknown): boolean => ConclaveError.is(error, 'PATH_TOO_LONG')
    await assert.rejects(new DomainSocketServer({ path }).start(), tooLong)
    await assert.rejects(new ClientConnection(path).connect(), tooLong)
    assert.deepEqual(readdirSync(folder), [])
    const { path: longest } = await serve(t, { path: path.slice(0, -1) })
    assert.equal(longest.length, 107)
    await stillServes(t, longest)
  },
)

test('10 an answer that can’t be sent ends the session, and its handler is told', { skip: needsPython }, async (t) => {
  const { server, path, gate } = await serve(t)
  const peer = await RawPeer.start(t, 'client', path)
  await peer.send(...callPackets({ method: METHOD.slow }))
  await until(() => gate.entered === 1, 'the handler at work')
  await peer.close()
  await until(() => server.sessions.size === 0, 'the session to end')
  gate.open()
  await stillServes(t, path)
})

test('a regular file at the path is not removed', { skip: needsLinux }, async (t) => {
  const path = join(temporaryDirectory(t), 's')
  writeFileSync(path, 'precious')
  await assert.rejects(new DomainSocketServer({ path }).start(), (error) => ConclaveError.is(error, 'CONFLICT'))
  assert.equal(lstatSync(path).size, 8)
})

test(
  'a living server of another make, which knows nothing of our lock, is not robbed',
  { skip: needsPython },
  async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const peer = await RawPeer.start(t, 'server', path)
    const inUse = (error: unknown): boolean => ConclaveError.is(error, 'SOCKET_IN_USE')
    await assert.rejects(new DomainSocketServer({ path }).start(), inUse)
    assert.ok(lstatSync(path).isSocket())
    // Nor when its queue is full: no answer is no death.
    const waiting: Connection[] = []
    try {
      for (;;) waiting.push(packetTransport().connect(path))
    } catch (error) {
      assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
    }
    await assert.rejects(new DomainSocketServer({ path }).start(), inUse)
    for (const connection of waiting) connection.close()
    peer.kill()
    await until(() => start2(path), 'the path to be free')
    chmodSync(path, 0o600)
    async function start2(at: string): Promise<boolean> {
      const server = new DomainSocketServer({ path: at })
      try {
        await server.start()
      } catch {
        return false
      }
      t.after(() => server.shutdown())
      return true
    }
  },
)
