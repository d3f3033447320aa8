import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { ConclaveError } from '../../src/errors/index.ts'
import type { Checked, Schema } from '../../src/wire/schema.ts'
import { validate, type Checkpoint } from '../../src/wire/validate.ts'

const at: Checkpoint = { code: 'INVALID_PARAMS', what: 'The params of "note.add"' }

const schemaOf = <Out>(check: () => Checked<Out> | Promise<Checked<Out>>): Schema<unknown, Out> => ({
  '~standard': { version: 1, vendor: 'test', validate: check },
})

describe('validate', () => {
  it('gives what the schema gives back, at once when the schema is synchronous', () => {
    const schema = z.object({ text: z.string(), tags: z.array(z.string()).default([]) })
    assert.deepEqual(validate(schema, { text: 'x', more: 1 }, at), { text: 'x', tags: [] })
  })

  it('gives the value itself without a schema', () => {
    const value = { any: 'thing' }
    assert.equal(validate(undefined, value, at), value)
  })

  it('waits for a schema that is not synchronous', async () => {
    const schema = z.string().refine(async (text) => text !== 'no', { error: 'must not be no' })
    // Zod needs a promise only when it meets an asynchronous check.
    assert.equal(await validate(schema, 'yes', at), 'yes')
    await assert.rejects(
      async () => validate(schema, 'no', at),
      (error) => ConclaveError.is(error, 'INVALID_PARAMS'),
    )
  })

  it('names the method, and each issue with its path', () => {
    const schema = z.object({ items: z.array(z.object({ name: z.string() })) })
    const value = { items: [{ name: 'a' }, { name: 7 }] }
    assert.throws(
      () => validate(schema, value, at),
      (error) =>
        ConclaveError.is(error, 'INVALID_PARAMS') &&
        /^The params of "note\.add" do not fit the contract: items\[1\]\.name: Invalid input: .*string.*\.$/.test(
          error.message,
        ) &&
        JSON.stringify(error.data).includes('"path":["items",1,"name"]'),
    )
    const result: Checkpoint = { code: 'INVALID_RESULT', what: 'The result of "note.add"' }
    assert.throws(
      () => validate(z.number(), 'x', result),
      (error) => ConclaveError.is(error, 'INVALID_RESULT'),
    )
  })

  it('bounds what it tells, and takes path segments of every kind', () => {
    const issues = Array.from({ length: 500 }, (_, i) => ({ message: `m${i}.`, path: [Symbol('s'), { key: 'k' }, i] }))
    assert.throws(
      () =>
        validate(
          schemaOf(() => ({ issues })),
          1,
          at,
        ),
      (error) =>
        ConclaveError.is(error) &&
        /: Symbol\(s\)\.k\[0\]: m0; .*m4 \(and 495 more\)\.$/.test(error.message) &&
        (error.data as { issues: unknown[] }).issues.length === 100,
    )
  })

  it('lets through what the schema itself throws', () => {
    const fault = new Error('a bug of the schema')
    const broken = schemaOf(() => {
      throw fault
    })
    assert.throws(() => validate(broken, 1, at), fault)
  })
})
