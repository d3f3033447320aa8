import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { portsForPath } from '../../src/dialects/zeromq/ports.ts'
import { conclave, runtimeDirectory, temporaryDirectory, until, type Scope } from '../support/index.ts'
import { startConclave, type Running } from './support.ts'

async function serve(t: Scope, folder: string, ...more: readonly string[]): Promise<Running> {
  const running = startConclave(t, ['zmq', 'serve', '--dir', folder, '--echo', '--json', ...more])
  await until(() => running.stdout().includes('listening'), 'the bus to listen', { seen: running.stderr })
  return running
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** A folder whose TCP ports nobody has: they follow from its path, and outgoing connections of others may have them. */
async function folderWithPorts(t: Scope): Promise<string> {
  for (;;) {
    const folder = temporaryDirectory(t)
    const { pubPort, rpcPort } = portsForPath(folder)
    if ((await isFree(pubPort)) && (await isFree(rpcPort))) return folder
  }
}

function lines(text: string): unknown[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
}

describe('conclave zmq', () => {
  test('serve, call, publish and subscribe find each other by the folder', async (t) => {
    runtimeDirectory(t)
    const folder = temporaryDirectory(t)
    const bus = await serve(t, folder, '--id', 'mine')
    const call = await conclave(t, ['zmq', 'call', 'echo', '{"a":1}', '--dir', folder])
    assert.deepEqual([call.code, call.stdout], [0, '{"a":1}\n'])
    const ping = await conclave(t, ['zmq', 'call', 'instance.ping', '--dir', folder])
    assert.equal(ping.stdout, '"pong"\n')

    const events = startConclave(t, ['zmq', 'subscribe', 'session.', '--dir', folder, '--limit', '2'])
    // In force when something comes through.
    const feeding = setInterval(() => bus.process.stdin?.write('{"topic":"session.probe"}\nno json\n'), 50)
    await until(() => events.stdout().includes('session.probe'), 'the subscription')
    clearInterval(feeding)
    const published = await conclave(t, [
      'zmq',
      'publish',
      'session.update',
      '{"n":1}',
      '--session',
      's',
      '--dir',
      folder,
    ])
    assert.equal(published.code, 0)
    assert.equal((await events.exit).code, 0)
    const [first] = lines(events.stdout()) as { instanceId: string; topic: string; missed: number }[]
    assert.deepEqual([first?.instanceId, first?.topic, first?.missed], ['mine', 'session.probe', 0])

    const second = await conclave(t, ['zmq', 'serve', '--dir', folder])
    assert.match(second.stderr, /PRIMARY_EXISTS/)
    assert.match(bus.stderr(), /a line was skipped/)
    const { signal, code } = await bus.kill('SIGTERM')
    assert.ok(signal === 'SIGTERM' || code === 143, `${code} ${signal}`)
    assert.deepEqual((lines(bus.stdout()).at(-1) as { ended: string }).ended, 'closed')
    const nobody = await conclave(t, ['zmq', 'call', 'echo', '--dir', folder])
    assert.match(nobody.stderr, /NO_PRIMARY/)
    assert.notEqual(nobody.code, 0)
  })

  test('over TCP with keys, found in the lock file; without, only when it is said', async (t) => {
    runtimeDirectory(t)
    const folder = await folderWithPorts(t)
    const bus = await serve(t, folder, '--tcp')
    const { listening } = lines(bus.stdout())[0] as { listening: { pub: string; rpc: string; serverKey: string } }
    assert.match(listening.pub, /^tcp:\/\/127\.0\.0\.1:[45]\d{4}$/)
    assert.equal((await conclave(t, ['zmq', 'call', 'echo', '1', '--dir', folder])).stdout, '1\n')
    const words = ['zmq', 'call', 'echo', '2', '--endpoint', listening.pub]
    assert.equal((await conclave(t, [...words, '--key', listening.serverKey])).stdout, '2\n')
    assert.match((await conclave(t, words)).stderr, /INVALID_OPTION/)
    await bus.kill('SIGTERM')
  })

  test('wrong words', async (t) => {
    for (const wrong of [['other'], ['call'], ['call', 'a', '{'], ['publish'], ['publish', 'a', '1', '2']]) {
      assert.equal((await conclave(t, ['zmq', ...wrong])).code, 2, wrong.join(' '))
    }
    const folder = temporaryDirectory(t)
    assert.match((await conclave(t, ['zmq', 'call', 'a', '--dir', folder])).stderr, /NO_PRIMARY/)
  })
})
