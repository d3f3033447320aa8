/** pyzmq in each role: libzmq as other languages use it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requirePythonZmq } from '../../support/python-zmq.ts'
import { until } from '../../support/index.ts'
import { newClient, pythonPeer, startBus, startTcpBus } from './support.ts'

test('pyzmq subscribes: each event is one frame, of the prefixes it asked for', async (t) => {
  if (!requirePythonZmq(t)) return
  for (const bus of [await startTcpBus(t), await startBus(t)]) {
    const peer = await pythonPeer(t, 'subscribe', bus.pubAddr, 'session.', 'llm.')
    await until(() => {
      void bus.publish('session.probe', null)
      return peer.messages.length > 1
    }, 'its subscription to be in force')
    void bus.publish('tool.start', 1)
    void bus.publish('llm.token', { text: '<é>' }, { sessionId: 's1' })
    const { event, frames, topic } = await peer.next((message) => message['topic'] !== 'session.probe')
    const { instanceId, sessionId, payload, seq } = event as Record<string, unknown>
    assert.deepEqual(
      [topic, frames, instanceId, sessionId, payload],
      ['llm.token', 1, 'primary-1', 's1', { text: '<é>' }],
    )
    // Numbers are for our own subscribers: over TCP, where existing programs are, there are none.
    assert.equal(seq, bus.pubAddr.startsWith('tcp') ? undefined : 1)
  }
})

test('pyzmq calls, with and without the empty frame', async (t) => {
  if (!requirePythonZmq(t)) return
  const bus = await startTcpBus(t)
  bus.registerMethod('echo', (params) => params)
  const peer = await pythonPeer(t, 'call', bus.rpcAddr)
  const text = '{"jsonrpc": "2.0", "id": "py-0", "method": "echo", "params": {"a": 1}}'
  for (const frames of [['', text], [text]]) {
    peer.send({ send: frames })
    const { frames: answer } = await peer.next((message) => 'frames' in message)
    assert.deepEqual(answer, ['', '{"jsonrpc":"2.0","id":"py-0","result":{"a":1}}'])
  }
})

test('pyzmq is the bus: our client calls it and hears its events', async (t) => {
  if (!requirePythonZmq(t)) return
  const peer = await pythonPeer(t, 'bus')
  const { pub = '', rpc = '' } = peer.messages[0] as { readonly pub?: string; readonly rpc?: string }
  const client = newClient(t, { insecure: true })
  assert.deepEqual(await client.call(rpc, 'echo', { a: 1 }), { a: 1 })
  assert.equal(await client.call(rpc, 'null'), undefined)
  await assert.rejects(client.call(rpc, 'nosuch'), { code: 'METHOD_NOT_FOUND', message: 'ipc: method not found' })
  const { identity, request, frames } = (await peer.next((message) => 'request' in message)) as Record<string, unknown>
  assert.match(String(identity), /^pando-client-\d{19}$/)
  assert.match((request as { id: string }).id, /^req-\d{19}$/)
  assert.equal(frames, 2)

  // It knows nothing of probes: the subscription is taken to be in force after a while.
  const events = await client.subscribeTo({ pub, rpc }, 'session.')
  const envelope = {
    instanceId: 'py',
    projectId: '',
    topic: 'session.update',
    timestamp: '2026-11-21T03:00:00Z',
    payload: 1,
  }
  peer.send({ topic: 'other', envelope })
  peer.send({ topic: 'session.update', envelope })
  assert.deepEqual((await events.next()).value, { ...envelope, missed: 0 })
})
