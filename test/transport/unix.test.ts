import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { transportSuite } from '../../src/testing/conformance/transport.ts'
import { unixTransport, type Connection, type ConnectionHandlers, type Listener } from '../../src/transport/index.ts'
import { needsLinux, needsRoot, start, startProgram, STRANGER, temporaryDirectory } from '../platform/support.ts'

transportSuite('unix', () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'conclave-'))
  let count = 0
  return {
    transport: unixTransport(),
    uid: process.geteuid?.() ?? -1,
    address: () => join(directory, String(++count)),
    dispose: () => fs.rmSync(directory, { recursive: true }),
  }
})

// C12 needs no test: no socket of node:net takes part, so there is no private field to read.

const transport = unixTransport()
const NOTHING: ConnectionHandlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

function listen(
  context: { after(close: () => void): void },
  path: string,
  onConnection: (c: Connection) => void,
): Listener {
  const listener = transport.listen(path, { backlog: 1000, onConnection, onError: (error) => assert.fail(error) })
  context.after(() => listener.close())
  return listener
}

test('nodejs/node#19729 a listener that closes does not unlink what another one bound since', (context) => {
  const path = join(temporaryDirectory(context), 's')
  const first = listen(context, path, () => {})
  fs.unlinkSync(path)
  const second = listen(context, path, (connection) => connection.close())
  first.close()
  assert.equal(fs.lstatSync(path).isSocket(), true)
  transport.connect(path).close()
  second.close()
  assert.equal(fs.existsSync(path), false)
})

test('the socket file is for its owner only', (context) => {
  const path = join(temporaryDirectory(context), 's')
  listen(context, path, () => {})
  assert.equal(fs.lstatSync(path).mode & 0o777, 0o600)
})

test('a path of exactly the longest length works, also with letters of two bytes', async (context) => {
  const directory = temporaryDirectory(context)
  const limit = posixPlatform().maxSocketPathBytes
  const room = limit - Buffer.byteLength(directory) - 1
  for (const name of ['x'.repeat(room), 'ü'.repeat(room >> 1) + 'x'.repeat(room & 1)]) {
    const path = join(directory, name)
    assert.equal(Buffer.byteLength(path), limit)
    await new Promise<void>((resolve) => {
      listen(context, path, (connection) => {
        connection.close()
        resolve()
      })
      transport.connect(path).handlers = NOTHING
    })
    assert.throws(
      () => transport.connect(`${path}y`),
      (error) => ConclaveError.is(error, 'PATH_TOO_LONG'),
    )
  }
})

test('a stale socket: DISCONNECTED with ECONNREFUSED, and a new listener is told of it', async (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 's')
  const program = startProgram(context, 'transport/programs/idle.ts', [path, 'ref'])
  assert.equal(await program.line(), 'ready')
  program.child.kill('SIGKILL')
  await program.ended
  assert.throws(
    () => transport.connect(path),
    (error) => ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === 'ECONNREFUSED',
  )
  assert.throws(
    () => transport.listen(path, { backlog: 1, onConnection() {}, onError() {} }),
    (error) => ConclaveError.is(error, 'CONFLICT'),
  )
})

test('P6 a listener of another user is refused', { skip: needsRoot }, async (context) => {
  const directory = temporaryDirectory(context, { forAll: true })
  fs.chownSync(directory, STRANGER, STRANGER)
  const path = join(directory, 's')
  const program = startProgram(context, 'transport/programs/stranger.ts', [String(STRANGER), 'listen', path])
  assert.equal(await program.line(), 'listening')
  assert.throws(
    () => transport.connect(path),
    (error) => ConclaveError.is(error, 'FORBIDDEN') && error.message.includes(String(STRANGER)),
  )
})

test('P6 a client of another user is closed at once and reported', { skip: needsRoot }, async (context) => {
  const directory = temporaryDirectory(context, { forAll: true })
  const path = join(directory, 's')
  const reported = new Promise<Error>((resolve) => {
    const listener = transport.listen(path, { backlog: 1, onConnection: () => assert.fail(), onError: resolve })
    context.after(() => listener.close())
  })
  fs.chmodSync(path, 0o666)
  const program = startProgram(context, 'transport/programs/stranger.ts', [String(STRANGER), 'connect', path])
  const [error, line] = await Promise.all([reported, program.line()])
  assert.ok(ConclaveError.is(error, 'FORBIDDEN'))
  assert.deepEqual((error.data as { uid: number }).uid, STRANGER)
  assert.equal(line, 'read 0')
})

test('P6 a socket that another user may not open is FORBIDDEN to it', { skip: needsRoot }, async (context) => {
  const directory = temporaryDirectory(context, { forAll: true })
  const path = join(directory, 's')
  listen(context, path, () => assert.fail())
  const program = startProgram(context, 'transport/programs/stranger.ts', [String(STRANGER), 'transport', path])
  assert.equal(await program.line(), 'FORBIDDEN')
})

test('B12 F4 what was kept when process.exit() was called still goes, as far as the kernel takes it', async (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 's')
  const go = join(directory, 'go')
  // Here, since the process may have said its line before it is accepted.
  let [received, expected, first] = [0, Infinity, Infinity]
  const check = (): void => {
    // All that the kernel had taken is read: now there is room again, and the process exits.
    if (received === first) fs.writeFileSync(go, '')
  }
  const connection = await new Promise<Connection>((resolve) => {
    listen(context, path, resolve)
    const program = startProgram(context, 'transport/programs/exit.ts', [path, go])
    void program.line().then((line) => {
      const [written, kept] = line.split(' ').map(Number) as [number, number]
      assert.ok(kept > 0)
      expected = written
      first = written - kept
      check()
    })
  })
  await new Promise<void>((resolve) => {
    connection.handlers = {
      ...NOTHING,
      onData(_bytes, start, end) {
        received += end - start
        check()
      },
      onEnd: resolve,
    }
  })
  assert.equal(received, expected)
  connection.close()
})

test('P8 an unref’d listener and connection let the process exit, others do not', async (context) => {
  const directory = temporaryDirectory(context)
  const idle = startProgram(context, 'transport/programs/idle.ts', [join(directory, 'a'), 'unref'])
  assert.deepEqual(await idle.ended, { code: 0, signal: null })
  const alive = startProgram(context, 'transport/programs/idle.ts', [join(directory, 'b'), 'ref'])
  assert.equal(await alive.line(), 'ready')
  alive.child.kill('SIGTERM')
  assert.equal((await alive.ended).signal, 'SIGTERM')
})

test('out of descriptors: accept reports it, does not spin, and goes on', { skip: needsLinux }, async (context) => {
  const directory = temporaryDirectory(context)
  const file = new URL('programs/crowded.ts', import.meta.url).pathname
  const program = start(context, 'sh', [
    '-c',
    'ulimit -n 60 && exec "$0" "$@"',
    process.execPath,
    file,
    join(directory, 's'),
  ])
  const { errors, ticks } = JSON.parse(await program.line()) as { errors: string[]; ticks: number }
  assert.deepEqual([...new Set(errors)], ['EMFILE'])
  // It was told less often than a timer of 10 ms fired; one that spins is told in every turn of the loop.
  assert.ok(errors.length >= 2 && errors.length <= ticks, `${errors.length} errors in ${ticks} ticks`)
  assert.deepEqual(await program.ended, { code: 0, signal: null })
})

test('1000 connections leave no descriptor behind', { skip: needsLinux }, async (context) => {
  const path = join(temporaryDirectory(context), 's')
  const descriptors = (): number => fs.readdirSync('/proc/self/fd').length
  let open = 0
  listen(context, path, (connection) => {
    open++
    connection.handlers = { ...NOTHING, onEnd: () => connection.close(), onClose: () => open-- }
  })
  const before = descriptors()
  for (let round = 0; round < 20; round++) {
    const clients = Array.from({ length: 50 }, () => transport.connect(path))
    const closed = clients.map(
      (client) => new Promise((resolve) => (client.handlers = { ...NOTHING, onClose: resolve })),
    )
    for (const client of clients) client.close()
    await Promise.all(closed)
    do await new Promise(setImmediate)
    while (open > 0)
  }
  assert.equal(descriptors(), before)
})

test('an exception in a handler is an uncaught exception, and the connection goes on', async (context) => {
  const path = join(temporaryDirectory(context), 's')
  const seen: unknown[] = []
  const catcher = (error: unknown): unknown => seen.push(error)
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', catcher)
  context.after(() => {
    process.off('uncaughtException', catcher)
    for (const listener of others) process.on('uncaughtException', listener)
  })
  let reads = 0
  await new Promise<void>((resolve) => {
    listen(context, path, (connection) => {
      connection.handlers = {
        ...NOTHING,
        onData() {
          if (++reads === 1) throw new Error('first')
        },
        onEnd() {
          connection.close()
          resolve()
        },
      }
    })
    const client = transport.connect(path)
    client.handlers = NOTHING
    client.write(new Uint8Array(150_000), 0, 150_000)
    client.end()
  })
  assert.equal((seen[0] as Error).message, 'first')
  assert.equal(seen.length, 1)
  assert.ok(reads > 1)
})
