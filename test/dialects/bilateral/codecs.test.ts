import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { gobCodec } from '../../../src/dialects/bilateral/gob-codec.ts'
import { gob, type GobType } from '../../../src/dialects/bilateral/index.ts'
import { jsonCodec } from '../../../src/dialects/bilateral/json-codec.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import vectors from '../../vectors/bilateral-messages.json' with { type: 'json' }
import { pair } from './support.ts'

const bytes = (payload: Uint8Array | string): Buffer => Buffer.from(payload as Uint8Array)

for (const codec of [gobCodec, jsonCodec]) {
  describe(`codec ${codec.name}`, () => {
    test('a call and its answer come back as they went', () => {
      const data = codec.encodeCall(7, 'Type.method', { a: 1, b: 'ü', c: [1, 2], d: { e: true } }, undefined)
      const request = codec.decodeCall(bytes(data))
      assert.ok(request)
      assert.deepEqual([request.id, request.method], [7, 'Type.method'])
      assert.deepEqual(JSON.parse(JSON.stringify(request.args(undefined))), { a: 1, b: 'ü', c: [1, 2], d: { e: true } })
      const answer = codec.decodeBack(bytes(codec.encodeBack(request, undefined, { ok: 1.5 }, undefined)))
      assert.deepEqual([answer?.id, answer?.method, answer?.error], [7, 'Type.method', undefined])
      assert.deepEqual(JSON.parse(JSON.stringify(answer?.reply(undefined))), { ok: 1.5 })
    })

    test('what a handler throws arrives with its code and text', () => {
      const request = codec.decodeCall(bytes(codec.encodeCall(1, 'A.b', {}, undefined)))
      assert.ok(request)
      for (const [error, code, message] of [
        [new Error('on purpose'), 'FAILED', 'on purpose'],
        [new ConclaveError('OVERLOADED', 'later'), 'OVERLOADED', 'later'],
        ['text', 'FAILED', 'text'],
        [undefined, 'FAILED', 'undefined'],
      ] as const) {
        const answer = codec.decodeBack(bytes(codec.encodeBack(request, { error }, undefined, undefined)))
        assert.deepEqual([answer?.error?.code, answer?.error?.message], [code, message])
      }
    })

    test('bytes that are no message are told, and never thrown', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), (random) => {
          const request = codec.decodeCall(Buffer.from(random))
          try {
            request?.args(undefined)
          } catch (error) {
            assert.ok(ConclaveError.is(error, 'INVALID_PARAMS'))
          }
          try {
            codec.decodeBack(Buffer.from(random))?.reply(undefined)
          } catch (error) {
            assert.ok(ConclaveError.is(error, 'INVALID_RESULT'))
          }
        }),
      )
      for (const data of [
        '',
        '[]',
        '[1]',
        '{}',
        '[-1,"A.b",{}]',
        '[1.5,"A.b",{}]',
        '[1,2,{}]',
        'null',
        '\u0003\u0006\u0000',
      ]) {
        assert.equal(codec.decodeCall(Buffer.from(data)), undefined, data)
        assert.equal(codec.decodeBack(Buffer.from(data)), undefined, data)
      }
    })

    test('an answer that ends after id and method is an error', () => {
      const whole = bytes(codec.encodeCall(5, 'A.b', {}, undefined))
      const head = codec.name === 'json' ? Buffer.from('[5,"A.b"]') : whole.subarray(0, 4 + 7)
      assert.equal(codec.decodeBack(head)?.error?.code, 'METHOD_NOT_FOUND')
    })
  })
}

describe('codec gob', () => {
  test('recorded calls, with and without declared types', () => {
    const [call = ''] = vectors.cases.flatMap(({ steps }) =>
      steps.filter(({ sent_command: command }) => command === 'CALL').map(({ sent }) => sent[1] ?? ''),
    )
    const request = gobCodec.decodeCall(Buffer.from(call, 'hex'))
    assert.ok(request)
    const args = gob.struct('Args', { A: gob.int(), B: gob.int() })
    assert.deepEqual({ ...(request.args({ args }) as object) }, { A: 3, B: 4 })
    assert.equal(bytes(gobCodec.encodeCall(9, 'Arith.SumDiff', { A: 3, B: 4 }, { args })).toString('hex'), call)
    // The values say the same.
    assert.equal(bytes(gobCodec.encodeCall(9, 'Arith.SumDiff', { A: 3, B: 4 }, undefined)).toString('hex'), call)
  })

  test('values without a declared type: what they are', () => {
    const send = (args: unknown): unknown => {
      const data = gobCodec.encodeCall(1, 'A.b', args, undefined)
      return gobCodec.decodeCall(bytes(data))?.args(undefined)
    }
    const plain = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)))
    for (const args of [
      {},
      { n: 1, x: 1.5, s: 'text', t: true },
      { mixed: [1, 2.5], nested: { deep: { n: 1 } }, list: [{ a: 1 }, { b: 'x' }] },
      { matrix: [[1], [2, 3]] },
    ]) {
      assert.deepEqual(plain(send(args)), args)
    }
    assert.deepEqual(plain(send({ big: 2n ** 60n })), { big: String(2n ** 60n) })
    assert.deepEqual([...(send({ raw: Buffer.from('ab') }) as { raw: Uint8Array }).raw], [97, 98])
    // Maps arrive as maps; what says nothing is left out.
    assert.deepEqual((send({ map: new Map([['k', 1]]) }) as { map: unknown }).map, new Map([['k', 1]]))
    assert.deepEqual(plain(send({ none: undefined, nothing: null, empty: [], n: 1 })), { n: 1 })
    for (const args of [1, 'text', null, [1], new Map(), new Uint8Array(1)]) {
      assert.throws(() => send(args), { code: 'INVALID_REQUEST' })
    }
    assert.throws(() => send({ list: [1, 'a'] }), { code: 'INVALID_REQUEST' })
  })

  test('objects whose contents are no fields are refused: nothing is lost silently', () => {
    const send = (args: unknown): unknown => gobCodec.encodeCall(1, 'A.b', args, undefined)
    for (const odd of [new Date(0), new Set([1]), Promise.resolve(1), /x/]) {
      assert.throws(() => send(odd), { code: 'INVALID_REQUEST' })
      assert.throws(() => send({ odd }), { code: 'INVALID_REQUEST' })
      const types = { args: gob.struct('A', { odd: gob.struct('B', { n: gob.int() }) }) }
      assert.throws(() => gobCodec.encodeCall(1, 'A.b', { odd }, types), { code: 'INVALID_REQUEST' })
    }
    class Point {
      x = 1
    }
    send({ point: new Point(), none: Object.create(null) as object })
  })

  test('a field for the sender that its caller left empty is filled in, without declared types too', async (t) => {
    const types = { args: gob.struct('SenderArgs', { A: gob.int(), Bilateral_SENDER: gob.string() }) }
    const [a, b] = await pair(t, { codec: 'gob' })
    a.register({
      'Arith.Whoami': (args: object) => ({ Text: (args as { Bilateral_SENDER?: string }).Bilateral_SENDER ?? 'none' }),
    })
    const ask = async (args: object, of?: object): Promise<unknown> => ({
      ...(await b.callOne<object>('a', 'Arith.Whoami', args, { types: of })),
    })
    assert.deepEqual(await ask({ A: 1 }, types), { Text: 'b' })
    assert.deepEqual(await ask({ A: 1, Bilateral_SENDER: 'claimed' }, types), { Text: 'b' })
    assert.deepEqual(await ask({ A: 1 }), { Text: 'none' })
    const number = { args: gob.struct('Odd', { Bilateral_SENDER: gob.int() }) }
    assert.deepEqual(await ask({}, number), { Text: 'none' })
  })

  test('an error text that is no UTF-8 is an error all the same', () => {
    const request = gobCodec.decodeCall(bytes(gobCodec.encodeCall(1, 'A.b', {}, undefined)))
    assert.ok(request)
    const data = bytes(gobCodec.encodeBack(request, { error: new Error('bad ?') }, undefined, undefined))
    data[data.indexOf('?')] = 0xff
    const answer = gobCodec.decodeBack(data)
    assert.deepEqual([answer?.error?.code, answer?.error?.message], ['FAILED', 'bad \ufffd'])
  })

  test('no result is the zero value of the declared type, and an empty list needs none', () => {
    const request = gobCodec.decodeCall(bytes(gobCodec.encodeCall(1, 'A.b', {}, undefined)))
    assert.ok(request)
    const back = (reply: unknown, type?: GobType): unknown =>
      gobCodec
        .decodeBack(bytes(gobCodec.encodeBack(request, undefined, reply, { reply: type })))
        ?.reply({ reply: type })
    assert.equal(back(undefined, gob.int()), 0)
    assert.equal(back(undefined, gob.string()), '')
    assert.deepEqual(back(undefined, gob.slice(gob.int())), [])
    assert.deepEqual({ ...(back([]) as object) }, {})
    assert.deepEqual({ ...(back(null) as object) }, {})
  })

  test('between two nodes: declared types fill in zeros and the sender', async (t) => {
    const types = {
      'Arith.Whoami': {
        args: gob.struct('SenderArgs', { A: gob.int(), Bilateral_SENDER: gob.string() }),
        reply: gob.struct('TextReply', { Text: gob.string(), Zero: gob.int() }),
      },
    }
    const [a, b] = await pair(t, { codec: 'gob', types })
    a.register(
      {
        'Arith.Whoami': ({ A, Bilateral_SENDER: sender }: { A: number; Bilateral_SENDER: string }) => ({
          Text: `${sender} ${A}`,
        }),
        'Any.nothing': () => {},
        'Any.text': () => 'text',
        'Any.typed': ({ n }: { n: number }) => n,
      },
      { types: { 'Any.typed': { args: gob.struct('Args', { n: gob.string() }) } } },
    )
    assert.deepEqual({ ...(await b.callOne<object>('a', 'Arith.Whoami', {})) }, { Text: 'b 0', Zero: 0 })
    assert.deepEqual({ ...(await b.callOne<object>('a', 'Any.nothing')) }, {})
    assert.equal(await b.callOne('a', 'Any.text'), 'text')
    await assert.rejects(b.callOne('a', 'Any.typed', { n: 1 }), { code: 'INVALID_PARAMS' })
    await assert.rejects(b.callOne('a', 'Any.none'), { code: 'METHOD_NOT_FOUND' })
    const wrong = { types: { reply: gob.int() } }
    await assert.rejects(b.callOne('a', 'Any.text', {}, wrong), { code: 'INVALID_RESULT' })
    await assert.rejects(b.callOne('a', 'Any.text', 1), { code: 'INVALID_REQUEST' })
  })
})
