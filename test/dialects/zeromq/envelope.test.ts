import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeFrame, encodeFrame, exactly, type Envelope } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { checkTopic, timestampOf, wireJson } from '../../../src/dialects/zeromq/envelope.ts'
import { bytesOf, RECORDED } from './support.ts'

describe('every recorded event decodes, and encodes to the same bytes', () => {
  for (const { name, streams, client_saw: saw } of RECORDED.filter((one) => one.name.startsWith('sub-'))) {
    test(name, () => {
      const frames = streams.flatMap((stream) => stream.frames.filter((frame) => frame.envelope_text !== undefined))
      assert.ok(frames.length > 0)
      const envelopes = frames.map(({ hex }) => decodeFrame(bytesOf(hex)))
      for (const [index, envelope] of envelopes.entries()) {
        assert.ok(envelope)
        assert.equal(Buffer.from(encodeFrame(envelope)).toString('hex'), frames[index]?.hex)
      }
      assert.deepEqual(
        envelopes,
        saw.filter((one) => one.envelope !== undefined).map((one) => one.envelope),
      )
    })
  }
})

test('what Go escapes is escaped', () => {
  assert.equal(wireJson({ s: 'x<y & z>\u2028\u2029' }), String.raw`{"s":"x\u003cy \u0026 z\u003e\u2028\u2029"}`)
  assert.equal(wireJson(undefined), 'null')
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (const wrong of [1n, cycle]) {
    assert.throws(
      () => wireJson(wrong),
      (error) => ConclaveError.is(error, 'INVALID_REQUEST'),
    )
  }
})

const topics = fc.stringMatching(/^[a-z.<&é]{1,20}$/)

test('any envelope comes back as it was', () => {
  const texts = fc.string({ unit: 'grapheme' })
  const envelopes: fc.Arbitrary<Envelope> = fc
    .record(
      {
        instanceId: texts,
        projectId: texts,
        sessionId: texts,
        topic: topics,
        timestamp: fc.date({ noInvalidDate: true }).map((date) => timestampOf(Number(date))),
        payload: fc.jsonValue(),
        seq: fc.integer({ min: 1 }),
      },
      { requiredKeys: ['instanceId', 'projectId', 'topic', 'timestamp', 'payload'] },
    )
    .map((envelope) => envelope as Envelope)
  fc.assert(
    fc.property(envelopes, (envelope) => {
      const frame = Buffer.from(encodeFrame(envelope))
      assert.equal(frame.toString('utf8', 0, frame.indexOf(0)), envelope.topic)
      assert.deepEqual(decodeFrame(frame), JSON.parse(JSON.stringify(envelope)))
    }),
  )
})

test('no bytes are too odd to be read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      decodeFrame(bytes)
    }),
  )
  const good = '{"instanceId":"a","projectId":"","topic":"t","timestamp":"","payload":1}'
  for (const wrong of ['', 't', 't\0', 't\0{', 't\0null', 't\0[]', 't\x001', `t ${good}`, 't\0{"topic":1}']) {
    assert.equal(decodeFrame(Buffer.from(wrong)), undefined, JSON.stringify(wrong))
  }
  const broken = Buffer.concat([Buffer.from(`t\0${good.slice(0, -1)},"x":"`), Buffer.from([0xff]), Buffer.from('"}')])
  assert.equal(decodeFrame(broken), undefined)
  assert.deepEqual(decodeFrame(Buffer.from('t\0{}')), {
    instanceId: '',
    projectId: '',
    topic: 't',
    timestamp: '',
    payload: null,
  })
})

test('a topic has 1 to 1,024 bytes and no zero', () => {
  for (const good of ['a', 'é'.repeat(512)]) checkTopic(good)
  for (const wrong of ['', 'a\0b', 'é'.repeat(513), 'a\ud800']) {
    assert.throws(
      () => checkTopic(wrong),
      (error) => ConclaveError.is(error, 'INVALID_OPTION'),
      JSON.stringify(wrong),
    )
  }
  assert.equal(exactly('a'), 'a\0')
})

test('times have no zeros at their end', () => {
  assert.equal(timestampOf(Date.UTC(2026, 10, 21, 3, 0, 0)), '2026-11-21T03:00:00Z')
  assert.equal(timestampOf(Date.UTC(2026, 10, 21, 3, 0, 10, 120)), '2026-11-21T03:00:10.12Z')
  assert.equal(timestampOf(Date.UTC(2026, 10, 21, 3, 0, 10, 7)), '2026-11-21T03:00:10.007Z')
})
