import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { decodeBody, encodeBody, putBody, sizeOf } from '../../src/rpc/body.ts'
import { Frame, KIND } from '../../src/wire/frame.ts'

const through = (value: unknown): unknown =>
  decodeBody(putBody(new Frame().set(KIND.REQUEST, 0, 0, 0, 0, 1, 0), encodeBody(value, 'It')).clone())

test('any JSON value, bytes and undefined come back as they were', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.uint8Array(), fc.constant(undefined)), (value) => {
      const json =
        value === undefined || value instanceof Uint8Array ? value : (JSON.parse(JSON.stringify(value)) as unknown)
      assert.deepEqual(through(value), json)
    }),
  )
})

test('what JSON cannot hold is refused, by name', () => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  for (const value of [1n, () => 1, Symbol('x'), cycle, { toJSON: () => undefined }]) {
    assert.throws(
      () => encodeBody(value, 'The params of x'),
      (error) => ConclaveError.is(error, 'INVALID_PARAMS') && error.message.startsWith("The params of x can't be sent"),
    )
  }
})

test('a body that is no JSON is the fault of its sender, and is not quoted', () => {
  const frame = new Frame().set(KIND.REQUEST, 0, 0, 0, 0, 1, 0).withName('x').withBody('hunter2')
  assert.throws(
    () => decodeBody(frame),
    (error) => ConclaveError.is(error, 'PROTOCOL') && !inspect(error).includes('hunter2'),
  )
})

test('sizes', () => {
  assert.deepEqual([undefined, '', 'abc', new Uint8Array(5)].map(sizeOf), [0, 0, 3, 5])
})
