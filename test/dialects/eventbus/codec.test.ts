import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { goJson, goLine } from '../../../src/dialects/shared/go-json.ts'
import {
  busSocket,
  configDirectory,
  decodeMessage,
  encodeMessage,
  readFrames,
  sanitizeAppId,
  subscriptionId,
  type BusMessage,
} from '../../../src/dialects/eventbus/index.ts'
import { helloWaitOf } from '../../../src/dialects/eventbus/options.ts'

const MESSAGES: readonly BusMessage[] = [
  {
    type: 'hello',
    pid: 7,
    eventKey: 'k',
    eventTypes: ['a', 'b'],
    version: 'v1',
    subscriptionId: 'k:1',
    consumerScopeId: 's',
    remoteSubscriptionId: 'r',
    identity: { a: 1 },
    profile: 'p',
    userOpenId: 'u',
    capabilities: ['c'],
  },
  { type: 'hello_ack', busVersion: 'v1', firstForKey: false, rejected: true, rejectReason: 'x', capabilities: ['c'] },
  {
    type: 'event',
    eventType: 'a',
    eventId: '1',
    sourceTime: '1700000000000',
    seq: 3,
    payload: [1, { b: '<' }],
    appId: 'app',
    tenantKey: 't',
    observedAt: '2026-06-01T00:00:00.000000001Z',
    remoteSubscriptionId: 'r',
    targetResource: { id: 1 },
    authority: 'x',
    subscriptionEventId: 's',
  },
  { type: 'source_status', source: 's', state: 'reconnecting', detail: 'd' },
  { type: 'pre_shutdown_check', eventKey: 'k', subscriptionId: 'k' },
  { type: 'pre_shutdown_ack', lastForKey: true },
  { type: 'bye' },
  { type: 'status_query' },
  {
    type: 'status_response',
    pid: 1,
    uptimeSec: 2,
    activeConns: 1,
    consumers: [{ pid: 3, eventKey: 'k', subscriptionId: 'k', received: 4, dropped: 5 }],
    protocolVersion: 'v2',
    capabilities: ['refined_routing'],
    registeredEventTypes: ['a'],
  },
  { type: 'shutdown' },
]

describe('messages', () => {
  test('all ten, with the fields of later states, come back as they went', () => {
    assert.equal(new Set(MESSAGES.map(({ type }) => type)).size, 10)
    for (const message of MESSAGES) assert.deepEqual(decodeMessage(encodeMessage(message).trimEnd()), message)
  })

  test('unknown fields are ignored, absent ones are what Go calls zero', () => {
    assert.deepEqual(decodeMessage('{"type":"hello","zzz":1}'), {
      type: 'hello',
      pid: 0,
      eventKey: '',
      eventTypes: [],
      version: '',
    })
    assert.equal(decodeMessage('{"type":"zzz"}'), undefined)
    assert.equal(decodeMessage('{"type":"constructor"}'), undefined)
  })

  test('what is no message is refused', () => {
    for (const line of [
      '',
      '[]',
      '1',
      'null',
      '{',
      '{"type":"hello","pid":"7"}',
      '{"type":"hello","event_types":[1]}',
      '{"type":"source_status","source":"s","state":"?"}',
    ]) {
      assert.throws(() => decodeMessage(line), { code: 'PROTOCOL' }, line)
    }
  })

  test('a frame has at most 1 MiB, its end included', () => {
    const room =
      1024 * 1024 - Buffer.byteLength(encodeMessage({ type: 'source_status', source: '', state: 'connected' }))
    encodeMessage({ type: 'source_status', source: 'x'.repeat(room), state: 'connected' })
    assert.throws(() => encodeMessage({ type: 'source_status', source: 'x'.repeat(room + 1), state: 'connected' }), {
      code: 'FRAME_TOO_LARGE',
    })
    assert.throws(() => encodeMessage({ type: 'source_status', source: 'xx', state: 'connected' }, 20), {
      code: 'FRAME_TOO_LARGE',
    })
  })

  test('readFrames reads them in any fragmentation, and skips what it is told to skip', async () => {
    const wire = Buffer.from(
      `${MESSAGES.map((message) => encodeMessage(message)).join('')}garbage\n${'x'.repeat(3000)}\n{"type":"bye"}\n`,
    )
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < wire.length; at += 37) yield await Promise.resolve(wire.subarray(at, at + 37))
    }
    const skipped: Error[] = []
    const read = await collect(readFrames(chunks(), { maxFrameBytes: 2000, onSkipped: (error) => skipped.push(error) }))
    assert.deepEqual(read, [...MESSAGES, { type: 'bye' }])
    assert.deepEqual(
      skipped.map((error) => (error as Error & { code: string }).code),
      ['PROTOCOL', 'FRAME_TOO_LARGE'],
    )
    await assert.rejects(collect(readFrames(chunks(), { maxFrameBytes: 2000 })), { code: 'PROTOCOL' })
  })
})

test('an empty list is left out where Go leaves it out', () => {
  const hello = { type: 'hello', pid: 1, eventKey: 'k', eventTypes: [], version: 'v1', capabilities: [] } as const
  assert.equal(encodeMessage(hello), '{"type":"hello","pid":1,"event_key":"k","event_types":[],"version":"v1"}\n')
})

test('Go escapes < > & and the two line separators; any JSON comes back as it was', () => {
  assert.equal(goJson({ '<k>': 'a&b\u2028\u2029é' }), '{"\\u003ck\\u003e":"a\\u0026b\\u2028\\u2029é"}')
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const line = goLine(value)
      assert.doesNotMatch(line, /[<>&\u2028\u2029]/)
      assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('subscription ids are those of the existing system', () => {
  assert.equal(subscriptionId('box.key'), 'box.key')
  assert.equal(subscriptionId('box.key', { mailbox: 'a@b' }), 'box.key:63cNu6j7MVT8MdYg')
  assert.equal(subscriptionId('k', { b: '2', a: '1' }), subscriptionId('k', { a: '1', b: '2' }))
})

test('places are those of the existing system', () => {
  assert.equal(sanitizeAppId('../a/b\\c\0'), '__a_b_c_')
  assert.equal(sanitizeAppId(''), '_')
  // Its folder would be that of all apps.
  assert.equal(sanitizeAppId('.'), '_')
  assert.equal(configDirectory({ env: { LARKSUITE_CLI_CONFIG_DIR: '/c' }, workspace: 'hermes' }), '/c/hermes')
  assert.equal(busSocket('app', { env: { HOME: '/h' } }), '/h/.lark-cli/events/app/bus.sock')
})

test('the environment sets how long a hello waits', () => {
  assert.deepEqual(['500ms', '1m30s', '1.5s', 'x', undefined].map(helloWaitOf), [500, 90_000, 1500, 3000, 3000])
  // All that Go reads as a duration, and what is not above 0 is the default.
  assert.deepEqual(
    ['+2s', '.5s', '1.s', '1500us', '2000µs', '5000000ns'].map(helloWaitOf),
    [2000, 500, 1000, 1.5, 2, 5],
  )
  assert.deepEqual(['0', '0s', '-1s', '', '5', '1s '].map(helloWaitOf), Array(6).fill(3000))
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
