/** The recorded conversations, with us in the place of either side. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError } from '../../../src/errors/index.ts'
import { until } from '../../support/index.ts'
import {
  bytesOf,
  dialRaw,
  frameOf,
  newClient,
  rawServer,
  RECORDED,
  startTcpBus,
  streamOf,
  textsOf,
  type RawPeer,
  type RecordedCase,
  type RecordedStream,
} from './support.ts'

const TIME = /"timestamp":"[^"]*"/

/** Where JSON-RPC 2.0 wants something else than was recorded. Existing callers read both alike. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  // The specification wants null where the id can't be known; existing callers read it as their "".
  'rpc-bad-json': '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}',
  // A numeric id is as good as any.
  'rpc-numeric-id': '{"jsonrpc":"2.0","id":7,"result":1}',
  'rpc-batch': '[{"jsonrpc":"2.0","id":"1","result":null}]',
}

/** A response has a result, or an error. */
function expected({ name }: RecordedCase, text: string): string {
  return DEVIATIONS[name] ?? (name === 'rpc-go-go-null' ? text.replace(/\}$/, ',"result":null}') : text)
}

/** Sends what the recorded connector sent, each part when it may: a message before READY is refused. Gives our READY. */
async function handshake(peer: RawPeer, recorded: RecordedCase): Promise<string> {
  const bytes = bytesOf(streamOf(recorded, 'connector->binder').stream_hex)
  const begin = opening(recorded, 'connector->binder').length
  peer.write(bytes.subarray(0, 64))
  const greeting = await peer.greeting()
  assert.equal(greeting.toString('latin1', 12, 16), 'NULL')
  peer.write(bytes.subarray(64, begin))
  const ready = (await peer.frame()).body.toString('latin1')
  peer.write(bytes.subarray(begin))
  return ready
}

/** Greeting and READY of one side. */
function opening(recorded: RecordedCase, direction: RecordedStream['direction']): Buffer {
  const { stream_hex: hex, frames } = streamOf(recorded, direction)
  return bytesOf(hex).subarray(0, 64 + 2 + bytesOf(frames[0]?.hex ?? '').length)
}

describe('our bus answers the recorded callers', () => {
  for (const recorded of RECORDED.filter(({ name }) => name.startsWith('rpc-'))) {
    test(recorded.name, async (t) => {
      const bus = await startTcpBus(t)
      bus.registerMethod('echo', (params) => params)
      bus.registerMethod('null', () => undefined)
      bus.registerMethod('fail', () => {
        throw new Error('handler failed on purpose')
      })
      const peer = await dialRaw(t, bus.rpcAddr)
      const ready = await handshake(peer, recorded)
      assert.ok(ready.includes('Socket-Type\0\0\0\x06ROUTER'))
      assert.ok(ready.includes('Identity\0\0\0\x09primary-1'))
      for (const text of textsOf(streamOf(recorded, 'binder->connector'))) {
        // libzmq as the binder was a program that wrote JSON with spaces.
        const due = recorded.name === 'rpc-go-libzmq' ? JSON.stringify(JSON.parse(text)) : text
        assert.deepEqual(await peer.message(), ['', expected(recorded, due)])
      }
    })
  }
})

describe('our bus publishes to the recorded subscribers', () => {
  for (const recorded of RECORDED.filter(({ name }) => name.startsWith('sub-'))) {
    test(recorded.name, async (t) => {
      const bus = await startTcpBus(t)
      const peer = await dialRaw(t, bus.pubAddr)
      assert.ok((await handshake(peer, recorded)).includes('Socket-Type\0\0\0\x03PUB'))
      // In force when an event has come through, as existing programs have to find out.
      let heard = false
      void peer.frame().then(() => (heard = true))
      await until(() => {
        if (!heard) void bus.publish('session.probe', null)
        return heard
      }, 'the subscription to be in force')
      void bus.publish('tool.unheard', 1)
      for (const { envelope } of recorded.client_saw) {
        if (envelope !== undefined) void bus.publish(envelope.topic, envelope.payload)
      }
      for (const text of textsOf(streamOf(recorded, 'binder->connector'))) {
        let { body } = await peer.frame()
        while (/^(?:session\.probe|tool\.unheard)\0/.test(body.toString())) ({ body } = await peer.frame())
        assert.equal(body.toString().replace(TIME, ''), text.replace(TIME, ''))
      }
    })
  }
})

describe('our client calls the recorded buses', () => {
  const RECORDED_CALLS = RECORDED.filter(({ name }) => name.startsWith('rpc-go-'))
  for (const recorded of RECORDED_CALLS) {
    test(recorded.name, async (t) => {
      const requests = textsOf(streamOf(recorded, 'connector->binder'))
      const answers = textsOf(streamOf(recorded, 'binder->connector'))
      const ID = /req-\d{19}/
      const seen: string[] = []
      const { endpoint } = await rawServer(t, async (peer) => {
        peer.write(opening(recorded, 'binder->connector'))
        await peer.greeting()
        const ready = (await peer.frame()).body.toString('latin1')
        assert.ok(ready.includes('Socket-Type\0\0\0\x06DEALER'))
        assert.match(ready, /Identity\0\0\0 pando-client-\d{19}/)
        for (const answer of answers) {
          const [empty, text = ''] = await peer.message()
          assert.equal(empty, '')
          seen.push(text)
          peer.write(frameOf('', 1), frameOf(answer.replace(ID, ID.exec(text)?.[0] ?? '')))
        }
      })
      const client = newClient(t, { insecure: true })
      for (const [index, request] of requests.entries()) {
        const { method, params } = JSON.parse(request) as { method: string; params: unknown }
        const answer = JSON.parse(answers[index] ?? '') as {
          result?: unknown
          error?: { code: number; message: string }
        }
        const call = client.call(endpoint, method, params)
        if (answer.error === undefined) assert.deepEqual(await call, answer.result)
        else {
          const code = answer.error.code === -32601 ? 'METHOD_NOT_FOUND' : 'FAILED'
          await assert.rejects(
            call,
            (error) => ConclaveError.is(error, code) && error.message === answer.error?.message,
          )
        }
        assert.equal(seen[index]?.replace(ID, ''), request.replace(ID, ''))
      }
      assert.equal(seen.length, requests.length)
    })
  }
})

describe('our subscriber hears the recorded buses', () => {
  for (const recorded of RECORDED.filter(({ name }) => name.startsWith('sub-'))) {
    test(recorded.name, async (t) => {
      const topics = streamOf(recorded, 'connector->binder').frames.flatMap(({ subscribe }) => subscribe ?? [])
      const stream = bytesOf(streamOf(recorded, 'binder->connector').stream_hex)
      const { endpoint } = await rawServer(t, async (peer) => {
        peer.write(opening(recorded, 'binder->connector'))
        await peer.greeting()
        assert.ok((await peer.frame()).body.toString('latin1').includes('Socket-Type\0\0\0\x03SUB'))
        const asked = new Set<string>()
        while (asked.size < topics.length) asked.add((await peer.frame()).body.toString('latin1'))
        assert.deepEqual([...asked].toSorted(), topics.map((topic) => `\x01${topic}`).toSorted())
        peer.write(stream.subarray(opening(recorded, 'binder->connector').length))
      })
      const client = newClient(t, { insecure: true })
      // Nobody answers calls beside it: it is an existing bus, or something like one.
      const events = await client.subscribe({ pub: endpoint }, topics, { settleMs: 1 })
      for (const { envelope } of recorded.client_saw) {
        if (envelope !== undefined) assert.deepEqual((await events.next()).value, { ...envelope, missed: 0 })
      }
    })
  }
})
