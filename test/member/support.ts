import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { ConclaveError, join, type Contract, type JoinOptions, type Member, type Place } from 'conclave'
import { memoryWorkspace, type MemoryWorkspace } from 'conclave/testing'
import type { AnyWrites } from '../../src/member/database.ts'
import type { AnyHandlers } from '../../src/member/types.ts'
import type { Open } from '../../src/rpc/contract.ts'
import { defer, workspace } from '../support/index.ts'

/** An error of ours with this code, and with these details. */
export function code(expected: string, details: Readonly<Record<string, unknown>> = {}): (error: unknown) => true {
  return (error) => {
    assert.ok(ConclaveError.is(error), `not an error of ours: ${String(error)}`)
    assert.equal(error.code, expected, error.message)
    for (const [key, value] of Object.entries(details)) {
      const found: unknown = Reflect.get(error, key)
      if (value instanceof RegExp) assert.match(String(found), value)
      else assert.deepEqual(found, value, `${key} of: ${error.message}`)
    }
    return true
  }
}

/** A memory workspace that ends with the test. */
export function memory(t: TestContext): MemoryWorkspace {
  const place = memoryWorkspace()
  defer(t, () => place[Symbol.asyncDispose]())
  return place
}

/** Joins; the member ends with the test. */
export const joined = (async (t: TestContext, place: Place, options?: never): Promise<Member> => {
  const member = await join(place, options)
  defer(t, () => member.abort(new Error('the test is over')))
  return member
}) as Joined

type Joined = <M extends AnyHandlers, W extends AnyWrites, const C extends Contract = Open>(
  t: TestContext,
  place: Place,
  options?: JoinOptions<C, M, W>,
) => ReturnType<typeof join<M, W, C>>

/** The same test on a memory workspace and on a real folder. */
export function onBoth(title: string, body: (t: TestContext, place: Place) => Promise<void>): void {
  describe(title, () => {
    test('in memory', (t) => body(t, memory(t)))
    test('in a folder', (t) => body(t, workspace(t)))
  })
}

/** The first is the primary, and all are seen by it. */
export async function several(
  t: TestContext,
  place: Place,
  count: number,
  options: (index: number) => object = () => ({}),
): Promise<Member[]> {
  const members: Member[] = []
  for (let i = 0; i < count; i++) members.push(await joined(t, place, { name: `m${i}`, ...options(i) } as never))
  assert.equal(members[0]?.role, 'primary')
  return members
}

/** The next `count` of what arrives over time. */
export async function take<T>(items: AsyncIterator<T, unknown>, count: number): Promise<T[]> {
  const taken: T[] = []
  while (taken.length < count) {
    const step = await items.next()
    if (step.done === true) break
    taken.push(step.value)
  }
  return taken
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = []
  for await (const item of items) taken.push(item)
  return taken
}

/** A promise and how to resolve it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
