import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readdirSync } from 'node:fs'
import { join, type Place } from 'conclave'
import { LIMIT_NAMES } from '../../src/member/options.ts'
import { workspace } from '../support/index.ts'
import { code, joined, memory } from './support.ts'

const REFUSED: Readonly<Record<string, readonly [options: object, message: RegExp]>> = {
  'an option that is none': [{ nmae: 'x' }, /no option "nmae"; it has app, name/],
  'an empty name': [{ name: '' }, /name must be 1 to 128/],
  'a long name': [{ name: 'x'.repeat(129) }, /name must be/],
  'a name with a line end': [{ name: 'a\nb' }, /control characters/],
  'a name that is no string': [{ name: 5 }, /name must be/],
  'an app that is a path': [{ app: '../x' }, /app/],
  'an app that is no string': [{ app: 5 }, /app must be a string/],
  'an app in capitals': [{ app: 'Notes' }, /app/],
  'another way to be primary': [{ primary: 'always' }, /"may", "never" or "must"/],
  'half a version': [{ version: 1.5 }, /version must be a whole number/],
  'a negative version': [{ version: -1 }, /version/],
  'a minVersion that is text': [{ minVersion: '1' }, /minVersion/],
  'a minVersion above its version': [{ version: 1, minVersion: 2 }, /must not exceed/],
  'a negative wait': [{ waitMs: -1 }, /waitMs/],
  'a wait that is no number': [{ waitMs: NaN }, /waitMs/],
  'a wait in words': [{ waitMs: '5' }, /waitMs/],
  'a ref that is no boolean': [{ ref: 0 }, /ref must be/],
  'methods that are none': [{ methods: null }, /methods must be an object, not null/],
  'a method that is no function': [{ methods: { a: 1 } }, /handler of a must be a function, not number/],
  'a contract that is none': [{ contract: 'x' }, /contract must be an object/],
  'a method that the contract lacks': [
    { contract: { methods: {} }, methods: { a: () => 1 } },
    /contract has no method a/,
  ],
  'a whilePrimary that cannot run': [{ whilePrimary: {} }, /whilePrimary must be a function/],
  'a signal that is none': [{ signal: 1 }, /signal must be/],
  'limits that are none': [{ limits: null }, /limits must be/],
  'a limit that is none': [{ limits: { maxFoo: 1 } }, /no limit "maxFoo"; docs\/limits.md/],
  'a limit below nothing': [{ limits: { graceMs: -1 } }, /limits.graceMs/],
  'a limit without bound': [{ limits: { graceMs: Infinity } }, /limits.graceMs/],
}

describe('options of join()', () => {
  for (const [what, [options, message]] of Object.entries(REFUSED)) {
    test(`${what} is refused with the cure`, async (t) => {
      await assert.rejects(join(memory(t), options as never), code('INVALID_OPTION', { message }))
    })
  }

  test('a refusal leaves nothing in the folder', async (t) => {
    const folder = workspace(t)
    await assert.rejects(join(folder, { name: '' }), code('INVALID_OPTION'))
    assert.deepEqual(readdirSync(folder), [])
  })

  test('what a database can not be is said', async (t) => {
    const place = workspace(t)
    const options: [object, RegExp][] = [
      [{ path: 'x' }, /no option "path"/],
      [{ file: '' }, /database\.file/],
      [{ durability: 'some' }, /durability/],
      [{ migrations: 'create table' }, /migrations/],
      [{ migrations: [5] }, /migrations/],
      [{ writes: 5 }, /writes/],
      [{ writes: { add: 5 } }, /write add must be a function/],
    ]
    for (const [database, message] of options) {
      await assert.rejects(join(place, { database } as never), code('INVALID_OPTION', { message }))
    }
  })

  test('a place that is none', async () => {
    for (const place of ['', 5, null, {}, new URL('http://localhost/x')] as Place[]) {
      await assert.rejects(join(place), code('INVALID_OPTION'))
    }
  })

  test('defaults: the name of the program, may, version 0', async (t) => {
    const member = await joined(t, memory(t))
    assert.equal(member.name, 'options.test')
    assert.equal(member.role, 'primary')
    assert.match(member.id, /^[\w-]{22}$/)
  })

  test('undefined is as good as left out', async (t) => {
    const options = { name: undefined, app: undefined, limits: undefined, methods: undefined, whilePrimary: undefined }
    assert.equal(
      (await joined(t, memory(t), { ...options, ref: undefined, waitMs: undefined } as never)).role,
      'primary',
    )
  })

  test('every limit that may be set is accepted', async (t) => {
    const limits = Object.fromEntries([...LIMIT_NAMES].map((name) => [name, 1000]))
    assert.equal((await joined(t, memory(t), { limits } as never)).role, 'primary')
  })
})
