/**
 * Bilateral RPC: equal, named peers over ZeroMQ. Each may listen, connect, or both; once two are connected both call.
 * With keys, a node's name is its public key, and nobody can claim another's. Needs the package zeromq.
 */
import { ConclaveError } from 'conclave'
import { Bilateral, newKeypair } from 'conclave/bilateral'

class Arith {
  SumDiff({ A, B }: { A: number; B: number }) {
    return { S: A + B, D: A - B }
  }
  Divide({ A, B }: { A: number; B: number }) {
    if (B === 0) throw new RangeError('by zero')
    return { Q: A / B }
  }
}

// json: between nodes of ours. The default, gob, is what existing nodes speak.
const options = { codec: 'json' } as const
const [hubKeys, leftKeys, rightKeys] = await Promise.all([newKeypair(), newKeypair(), newKeypair()])

const hub = await Bilateral.encrypted('example', hubKeys.publicKey, hubKeys.secretKey, {
  ...options,
  allow: [leftKeys.publicKey, rightKeys.publicKey],
})
const [address = ''] = await hub.listenOn('tcp://127.0.0.1:*')

const peers = await Promise.all(
  [leftKeys, rightKeys].map(async ({ publicKey, secretKey }) => {
    const peer = await Bilateral.encrypted('example', publicKey, secretKey, options)
    peer.register(new Arith())
    peer.connectTo(hub.name, address)
    return peer
  }),
)
await hub.connected(2)
console.log(hub.connectionCount, 'peers') // prints: 2 peers

// To everybody: who answered, and who did not.
const replies = await hub.call([], 'Arith.SumDiff', { A: 5, B: 3 }, { timeoutMs: 5_000 })
for (const { reply } of replies) console.log(JSON.stringify(reply)) // prints: {"S":8,"D":2}
console.log(replies.missing.length, 'missing') // prints: 0 missing

// To one: its answer, or its error.
try {
  await hub.callOne(leftKeys.publicKey, 'Arith.Divide', { A: 1, B: 0 })
} catch (error) {
  if (ConclaveError.is(error)) console.log(error.code, error.reason, error.message) // prints: FAILED RangeError by zero
}

// In the other direction, without an answer.
const heard = new Promise<string>((resolve) => {
  hub.register({
    'Log.write': ({ text }: { text: string }, { sender }) => resolve(`${text} from ${sender === leftKeys.publicKey}`),
  })
})
await peers[0]?.connected(hub.name)
await peers[0]?.cast([hub.name], 'Log.write', { text: 'hello' })
console.log(await heard) // prints: hello from true

await Promise.all([hub, ...peers].map((node) => node.close()))
