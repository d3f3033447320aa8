import assert from 'node:assert/strict'
import { createServer, connect as dial, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { Bilateral, newKeypair } from '../../../src/dialects/bilateral/index.ts'
import { isKey } from '../../../src/dialects/bilateral/keys.ts'
import { bytesOfKey, z85 } from '../../../src/dialects/shared/z85.ts'
import { defer, until, type Scope } from '../../support/index.ts'
import { Arith, encrypted, keypairs, listening, NETWORK, QUICK, RawPeer } from './support.ts'

/** Between two nodes: keeps what passes. */
async function tap(t: Scope, address: string): Promise<{ address: string; passed: Buffer[] }> {
  const passed: Buffer[] = []
  const sockets: Socket[] = []
  const port = Number(/:(\d+)$/.exec(address)?.[1])
  const server = createServer((client) => {
    const upstream = dial(port, '127.0.0.1')
    sockets.push(client, upstream)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (chunk) => {
        passed.push(chunk)
        to.write(chunk)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  defer(t, () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const bound = server.address() as { port: number }
  return { address: `tcp://127.0.0.1:${bound.port}`, passed }
}

describe('on the wire', () => {
  test('encrypted nodes: CURVE, and nothing of a message can be read', async (t) => {
    const [a, b] = await keypairs(2)
    assert.ok(a && b)
    const [server, client] = [await encrypted(t, a), await encrypted(t, b)]
    server.register(new Arith())
    const wire = await tap(t, await listening(server))
    client.connectTo(server.name, wire.address)
    await client.connected(server.name)
    await client.callOne(server.name, 'Arith.SumDiff', { A: 77_777, B: 0 })
    const text = Buffer.concat(wire.passed).toString('latin1')
    for (const clear of ['CURVE', 'HELLO', 'WELCOME', 'INITIATE', 'READY']) assert.ok(text.includes(clear), clear)
    for (const hidden of ['JOIN', 'STAY', 'CALL', 'BACK', NETWORK, 'Arith', '77777', a.publicKey, b.publicKey]) {
      assert.ok(!text.includes(hidden), hidden)
    }
    // HELLO 200, WELCOME 168, INITIATE, READY: their sizes, as existing nodes send them (ZMTP command frames).
    for (const [name, size] of [
      ['HELLO', 200],
      ['WELCOME', 168],
    ] as const) {
      const at = text.indexOf(`${String.fromCharCode(name.length)}${name}`)
      assert.equal(text.charCodeAt(at - 1), size, name)
    }
  })

  test('a wrong key: a stranger to the list is refused, and a node with another key is not taken for the one sought', async (t) => {
    const [a, friend, stranger] = await keypairs(3)
    assert.ok(a && friend && stranger)
    const node = await encrypted(t, a, { allow: [friend.publicKey] })
    const address = await listening(node)
    const [welcome, refused] = [await encrypted(t, friend), await encrypted(t, stranger)]
    refused.connectTo(node.name, address)
    await until(() => node.counters.refusedKeys > 0, 'the stranger to be refused')
    welcome.connectTo(node.name, address)
    await welcome.connected(node.name)
    assert.deepEqual([node.activeConnections(), refused.connectionCount], [[friend.publicKey], 0])
    // Somebody else listens where the peer should be.
    const seeking = await encrypted(t, stranger)
    const wire = await tap(t, address)
    seeking.connectTo(friend.publicKey, wire.address)
    await until(() => Buffer.concat(wire.passed).includes('HELLO'), 'it to try')
    const before = wire.passed.length
    await until(() => wire.passed.length > before + 2, 'it to try again')
    assert.ok(!Buffer.concat(wire.passed).includes('WELCOME'))
    assert.equal(seeking.connectionCount, 0)
  })

  test('a stolen name: with a list, the thief does not get in by it', async (t) => {
    const [a, friend, thief] = await keypairs(3)
    assert.ok(a && friend && thief)
    const node = await encrypted(t, a, { allow: [friend.publicKey] })
    const raw = new RawPeer(t, { name: friend.publicKey, keys: { ...thief, server: node.name } })
    const failed = new Promise((resolve) => raw.socket.events.on('handshake:error:auth', resolve))
    raw.connect(await listening(node))
    await failed
    assert.equal(node.counters.refusedKeys, 1)
    assert.equal(node.connectionCount, 0)
    // Nor does somebody without keys.
    const plaintext = new RawPeer(t, { name: friend.publicKey })
    const mismatch = new Promise((resolve) => plaintext.socket.events.on('handshake:error:protocol', resolve))
    plaintext.connect(await listening(node))
    await mismatch
    assert.equal(node.connectionCount, 0)
  })

  test('a wrong network: refused, in the clear and encrypted', async (t) => {
    const [a, b] = await keypairs(2)
    assert.ok(a && b)
    const node = await encrypted(t, a)
    const other = await Bilateral.encrypted('other', b.publicKey, b.secretKey, { codec: 'json', times: QUICK })
    defer(t, () => other.close())
    other.connectTo(node.name, await listening(node))
    await until(() => node.counters.refusedNetworks > 1, 'it to be refused, and again')
    assert.deepEqual([node.connectionCount, other.connectionCount], [0, 0])
  })
})

test('keys: Z85 as libzmq writes it', async () => {
  const pair = await newKeypair()
  assert.ok(isKey(pair.publicKey) && isKey(pair.secretKey))
  // The example of ZeroMQ RFC 32.
  assert.equal(z85(Buffer.from('864fd26fb559f75b', 'hex')), 'HelloWorld')
  assert.equal(z85(Buffer.alloc(4, 255)), '%nSc0')
  assert.equal(z85(bytesOfKey(pair.publicKey) ?? Buffer.alloc(0)), pair.publicKey)
  // More than 32 bytes hold.
  assert.ok(!isKey('#'.repeat(40)) && !isKey(`${pair.publicKey.slice(0, 35)}%nSc1`))
  assert.ok(!isKey('HelloWorld') && !isKey(`${pair.publicKey}x`) && !isKey(`~${pair.publicKey.slice(1)}`))
})
