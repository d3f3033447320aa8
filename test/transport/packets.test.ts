import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { native, type SocketHandle } from '../../src/platform/native.ts'
import { packetSuite } from '../../src/testing/conformance/packets.ts'
import { transportSuite } from '../../src/testing/conformance/transport.ts'
import { MAX_PACKET_BYTES, packetTransport, type ConnectionHandlers } from '../../src/transport/index.ts'
import { execute, temporaryDirectory } from '../support/index.ts'
import { needsCompiler, needsLinux, needsRoot, startProgram, STRANGER } from '../platform/support.ts'
import { temporaryDirectory as openDirectory } from '../platform/support.ts'

const NOTHING: ConnectionHandlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

const underTest = () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'conclave-'))
  let count = 0
  return {
    transport: packetTransport(),
    uid: process.geteuid?.() ?? -1,
    maxWriteBytes: MAX_PACKET_BYTES,
    address: () => join(directory, String(++count)),
    dispose: () => fs.rmSync(directory, { recursive: true }),
  }
}

if (needsLinux === false) {
  transportSuite('seqpacket', underTest)
  packetSuite('seqpacket', underTest)
}

test('elsewhere: UNSUPPORTED with a sentence', () => {
  const elsewhere = { ...native(), packetBuffer: () => undefined }
  assert.throws(
    () => packetTransport(posixPlatform(), elsewhere),
    (error) => ConclaveError.is(error, 'UNSUPPORTED') && /^Only Linux .*\.$/.test(error.message),
  )
})

for (const umask of [0o000, 0o022, 0o077, 0o777]) {
  for (const mode of [0o600, 0o660, 0o666]) {
    const title = `mode ${mode.toString(8)} under umask ${umask.toString(8)}: never open wider, not for a moment, and exact when it listens`
    test(title, { skip: needsCompiler }, async (t) => {
      const directory = temporaryDirectory(t)
      const spy = join(directory, 'spy.so')
      const source = join(import.meta.dirname, 'programs', 'bind-spy.c')
      const compiled = await execute(t, 'cc', ['-shared', '-fPIC', '-Wall', '-o', spy, source, '-ldl'])
      assert.equal(compiled.code, 0, compiled.stderr)
      const program = join(import.meta.dirname, 'programs', 'packet-listener.ts')
      const path = join(directory, 's')
      const args = ['--conditions=source', program, path, mode.toString(8), umask.toString(8)]
      const { code, stdout, stderr } = await execute(t, process.execPath, args, {
        env: { LD_PRELOAD: [process.env['LD_PRELOAD'], spy].filter(Boolean).join(':') },
      })
      assert.equal(code, 0, stderr)
      const said = stdout.trim().split('\n')
      const at = (moment: string): number =>
        Number.parseInt(said.find((line) => line.startsWith(moment))?.split(' ')[1] ?? '', 8)
      assert.equal(at('bound'), mode & ~umask)
      assert.equal(at('bound') & ~mode, 0)
      assert.equal(at('listening'), mode)
    })
  }
}

test(
  'a packet longer than ours ends the connection with EMSGSIZE, and never as a shorter one',
  { skip: needsLinux },
  async (t) => {
    const path = join(temporaryDirectory(t), 's')
    let read = 0
    const closed = new Promise<Error | undefined>((resolve) => {
      const listener = packetTransport().listen(path, {
        backlog: 1,
        onError: assert.fail,
        onConnection: (connection) => {
          connection.handlers = { ...NOTHING, onData: (_bytes, start, end) => (read += end - start), onClose: resolve }
        },
      })
      t.after(() => listener.close())
    })
    // Around the limit of ours: nothing in the addon keeps a peer from sending more.
    const addon = native()
    addon.packetBuffer()
    const handle = addon.connectPackets(path)
    assert.ok(typeof handle !== 'number')
    assert.equal(addon.send(handle, new Uint8Array(10), 0, 10), 10)
    assert.equal(addon.send(handle, new Uint8Array(140_000), 0, 140_000), 140_000)
    const error = await closed
    assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
    assert.deepEqual(error.data, { errno: 'EMSGSIZE' })
    assert.equal(read, 10)
    addon.close(handle)
  },
)

test('a server that can’t be judged is left at once', { skip: needsLinux }, (t) => {
  const path = join(temporaryDirectory(t), 's')
  const listener = packetTransport().listen(path, { backlog: 1, onError: assert.fail, onConnection() {} })
  t.after(() => listener.close())
  const open = new Set<unknown>()
  const addon = native()
  const watched = {
    ...addon,
    connectPackets: (at: string) => {
      const handle = addon.connectPackets(at)
      open.add(handle)
      return handle
    },
    close: (handle: SocketHandle) => {
      open.delete(handle)
      addon.close(handle)
    },
  }
  const admits = (): boolean => {
    assert.equal(open.size, 1)
    throw new Error('who knows')
  }
  assert.throws(() => packetTransport(posixPlatform(), watched).connect(path, { admits }), /who knows/)
  assert.equal(open.size, 0)
})

test('a stream socket at the path: DISCONNECTED with EPROTOTYPE', { skip: needsLinux }, (t) => {
  const path = join(temporaryDirectory(t), 's')
  const handle = native().listen(path, 1)
  assert.ok(typeof handle !== 'number')
  assert.throws(
    () => packetTransport().connect(path),
    (error) => ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === 'EPROTOTYPE',
  )
  native().close(handle)
})

test('B18 a peer of another user is refused, unless it is admitted', { skip: needsRoot }, async (t) => {
  for (const admitted of [false, true]) {
    const path = join(openDirectory(t, { forAll: true }), 's')
    const outcome = new Promise<string>((resolve) => {
      const listener = packetTransport().listen(path, {
        backlog: 1,
        mode: 0o666,
        ...(admitted ? { admits: ({ uid }) => uid === STRANGER } : {}),
        onError: (error) => resolve(ConclaveError.is(error) ? error.code : error.message),
        onConnection: (connection) => {
          connection.close()
          resolve(`uid ${connection.peer.uid}`)
        },
      })
      t.after(() => listener.close())
    })
    startProgram(t, 'transport/programs/packet-stranger.ts', [String(STRANGER), path])
    assert.equal(await outcome, admitted ? `uid ${STRANGER}` : 'FORBIDDEN')
  }
})
