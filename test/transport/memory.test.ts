import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { memoryPlatform } from '../../src/platform/index.ts'
import { memoryTransport } from '../../src/transport/index.ts'
import { transportSuite } from '../../src/testing/conformance/transport.ts'

transportSuite('memory', () => {
  const process = memoryPlatform().process()
  let count = 0
  return {
    transport: memoryTransport(process),
    uid: process.uid,
    address: () => `/tmp/${++count}`,
    dispose: () => process.kill(),
  }
})

test('a killed process: its peers see the end, it hears nothing more, its listener refuses', async () => {
  const machine = memoryPlatform()
  const [dying, survivor] = [machine.process(), machine.process()]
  const heard: string[] = []
  memoryTransport(dying).listen('/tmp/s', {
    backlog: 1,
    onError: assert.fail,
    onConnection: (connection) => {
      connection.handlers = {
        onData: () => heard.push('data'),
        onEnd: () => heard.push('end'),
        onDrain: () => heard.push('drain'),
        onClose: () => heard.push('close'),
      }
      connection.write(Buffer.from('last words'), 0, 10)
      dying.kill()
      assert.equal(connection.write(Buffer.from('not said'), 0, 8), true)
    },
  })
  const words = await new Promise<string>((resolve) => {
    const connection = memoryTransport(survivor).connect('/tmp/s')
    let text = ''
    connection.handlers = {
      onData: (bytes, start, end) => (text += Buffer.from(bytes.subarray(start, end)).toString()),
      onEnd: () => resolve(text),
      onDrain() {},
      onClose() {},
    }
  })
  assert.equal(words, 'last words')
  assert.deepEqual(heard, [])
  assert.equal(survivor.stat('/tmp/s')?.kind, 'socket', 'the file stays, as after SIGKILL')
  assert.throws(
    () => memoryTransport(survivor).connect('/tmp/s'),
    (error) => ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === 'ECONNREFUSED',
  )
  assert.throws(
    () => memoryTransport(dying).connect('/tmp/s'),
    (error) => ConclaveError.is(error, 'CLOSED'),
  )
})

test('A9 the locks of a killed process are free before its peers see the end', async () => {
  const machine = memoryPlatform()
  const [dying, survivor] = [machine.process(), machine.process()]
  assert.ok(dying.tryLock('/tmp/lock'))
  const accepted = new Promise<void>((resolve) => {
    memoryTransport(dying).listen('/tmp/s', { backlog: 1, onError: assert.fail, onConnection: () => resolve() })
  })
  const connection = memoryTransport(survivor).connect('/tmp/s')
  await accepted
  const locked = new Promise((resolve) => {
    connection.handlers = {
      onData() {},
      onEnd: () => resolve(survivor.tryLock('/tmp/lock')),
      onDrain() {},
      onClose() {},
    }
  })
  dying.kill()
  assert.ok(await locked)
})

test('another uid is refused on both sides', async () => {
  const machine = memoryPlatform()
  const [one, other] = [machine.process({ uid: 1 }), machine.process({ uid: 2 })]
  memoryTransport(one).listen('/tmp/s', { backlog: 1, onConnection: () => assert.fail(), onError: assert.fail })
  assert.throws(
    () => memoryTransport(other).connect('/tmp/s'),
    (error) => ConclaveError.is(error, 'FORBIDDEN'),
  )
  // A stranger that does not look whom it talks to.
  const careless = Object.assign(machine.process({ uid: 2 }), { isOurUid: () => true })
  const refused = new Promise<Error>((resolve) => {
    memoryTransport(one).listen('/tmp/t', { backlog: 1, onConnection: () => assert.fail(), onError: resolve })
  })
  const ended = new Promise<void>((resolve) => {
    const connection = memoryTransport(careless).connect('/tmp/t')
    connection.handlers = { onData() {}, onEnd: resolve, onDrain() {}, onClose() {} }
  })
  assert.ok(ConclaveError.is(await refused, 'FORBIDDEN'))
  await ended
})
