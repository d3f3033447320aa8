import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { joinName, splitName } from '../../src/rpc/address.ts'
import { Frame, KIND } from '../../src/wire/frame.ts'

test('method, target and traceparent come back out of the name', () => {
  const text = fc.string({ minLength: 1 }).filter((one) => !one.includes('\0'))
  fc.assert(
    fc.property(
      text,
      fc.option(text, { nil: undefined }),
      fc.option(text, { nil: undefined }),
      (method, target, trace) => {
        const frame = new Frame().set(KIND.REQUEST, 0, 0, 0, 0, 1, 0).withName(joinName(method, target, trace))
        assert.deepEqual(splitName(frame), { method, target: target ?? '', traceparent: trace })
      },
    ),
  )
})
