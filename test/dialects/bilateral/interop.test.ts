import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { start, type Program } from '../../platform/support.ts'
import { PYTHON, requirePythonZmq } from '../../support/python-zmq.ts'
import { Arith, encrypted, keypairs, listening, NETWORK, plain } from './support.ts'

const PEER = join(import.meta.dirname, 'programs', 'peer.py')

async function until(program: Program, key: string): Promise<Record<string, unknown>> {
  for (;;) {
    const message = JSON.parse(await program.line()) as Record<string, unknown>
    if (key in message) return message
  }
}

for (const secure of [false, true]) {
  describe(`libzmq 4.3 under Python, ${secure ? 'CURVE' : 'in the clear'}`, () => {
    test('it connects to us, joins, keeps alive, calls and is called', async (t) => {
      if (!requirePythonZmq(t)) return
      const [own, theirs] = await keypairs(2)
      assert.ok(own && theirs)
      const node = secure ? await encrypted(t, own) : await plain(t, 'ours')
      node.register(new Arith())
      const config = {
        role: 'connect',
        name: secure ? theirs.publicKey : 'python',
        secret: secure ? theirs.secretKey : undefined,
        network: NETWORK,
        address: await listening(node),
        peer: node.name,
        count: 100,
      }
      const python = start(t, PYTHON, [PEER, JSON.stringify(config)])
      assert.deepEqual(await until(python, 'tock'), { tock: 42 })
      const { replies } = await until(python, 'replies')
      const expected = Array.from({ length: 100 }, (_, at) => [at + 1, null, { S: at + 2, D: at }])
      assert.deepEqual(replies, expected)
      assert.deepEqual(await node.callOne(config.name, 'Arith.SumDiff', { A: 4, B: 2 }, 30_000), { S: 6, D: 2 })
      await node.cast([], 'Log.add', { n: 1 })
      assert.deepEqual(await until(python, 'cast'), { cast: { n: 1 }, sender: node.name })
    })

    test('we connect to it', async (t) => {
      if (!requirePythonZmq(t)) return
      const [own, theirs] = await keypairs(2)
      assert.ok(own && theirs)
      const name = secure ? theirs.publicKey : 'python'
      const config = {
        role: 'bind',
        name,
        secret: secure ? theirs.secretKey : undefined,
        network: NETWORK,
        address: 'tcp://127.0.0.1:*',
      }
      const python = start(t, PYTHON, [PEER, JSON.stringify(config)])
      const { address } = await until(python, 'ready')
      const node = secure ? await encrypted(t, own) : await plain(t, 'ours')
      node.register(new Arith())
      node.connectTo(name, String(address))
      await node.connected(name)
      assert.deepEqual(await node.callOne(name, 'Arith.SumDiff', { A: 4, B: 2 }, 30_000), { S: 6, D: 2 })
      assert.deepEqual(await until(python, 'replies'), { replies: [[7, null, { S: 8, D: 6 }]] })
    })
  })
}

test('libzmq 4.3 under Python: of another network, it is refused', async (t) => {
  if (!requirePythonZmq(t)) return
  const node = await plain(t, 'ours')
  const config = { role: 'connect', name: 'python', network: 'other', address: await listening(node), peer: 'ours' }
  const python = start(t, PYTHON, [PEER, JSON.stringify(config)])
  assert.deepEqual(await until(python, 'refused'), { refused: true })
  assert.equal(node.connectionCount, 0)
})
