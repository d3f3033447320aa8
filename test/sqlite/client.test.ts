import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError, type Outcome } from '../../src/errors/index.ts'
import { WriteClient } from '../../src/sqlite/index.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { code, now } from './support.ts'

interface Asked {
  readonly method: string
  readonly params: Record<string, unknown>
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  answer(value: unknown): void
  fail(error: Error): void
}

/** A client whose link is the test. */
function client(): { client: WriteClient; asked: Asked[]; next: (method: string) => Promise<Asked> } {
  const asked: Asked[] = []
  const made = new WriteClient({
    now,
    send: (method, params, { deadline, signal }) =>
      new Promise((resolve, reject) => {
        asked.push({
          method,
          params: params as Record<string, unknown>,
          deadline,
          signal,
          answer: resolve,
          fail: reject,
        })
      }),
  })
  const next = async (method: string): Promise<Asked> => {
    for (;;) {
      const at = asked.findIndex((one) => one.method === method)
      if (at >= 0) return asked.splice(at, 1)[0]!
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { client: made, asked, next }
}

const OK = { ok: [{ ok: [1, 1] }] }
/** A list alone is the parameters of a write with the next number and the statement before it. */
function writesOf({ params }: Asked): { n: number; params: unknown }[] {
  let last = 0
  return (params['s'] as (unknown[] | { n: number; params: unknown })[]).map((one) => {
    const write = Array.isArray(one) ? { n: last + 1, params: one } : one
    last = write.n
    return write
  })
}
const lost = (outcome: Outcome): ConclaveError => new ConclaveError('DISCONNECTED', 'lost', { outcome })

test('A6: nothing is numbered before the database knows the writer; then in the order of the calls', async () => {
  const { client: c, asked, next } = client()
  const writes = ['a', 'b', 'c'].map((text) => c.run('x', [text]))
  const open = await next(METHOD.OPEN)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(asked.length, 0, 'one OPEN for all, and no write before its answer')
  open.answer({ ok: null })
  const first = await next(METHOD.WRITE)
  assert.deepEqual(
    writesOf(first).map(({ n, params }) => [n, params]),
    ['a', 'b', 'c'].map((text, at) => [at + 1, [text]]),
    'what is written in one go travels together',
  )
  assert.equal(first.params['a'], 0)
  first.answer({ ok: [1, 2, 3].map((n) => ({ ok: [1, n] })) })
  await Promise.all(writes)
  const last = c.run('x', ['d'])
  const write = await next(METHOD.WRITE)
  assert.deepEqual([writesOf(write)[0]!.n, write.params['a'], write.params['w']], [4, 3, open.params['w']])
  assert.match(String(write.params['w']), /^[\w-]{22}$/)
  write.answer(OK)
  await last
})

test('writes with a signal or another patience travel by themselves, and the order stays', async () => {
  const { client: c, asked, next } = client()
  const first = c.run('x')
  ;(await next(METHOD.OPEN)).answer({ ok: null })
  ;(await next(METHOD.WRITE)).answer(OK)
  await first
  const { signal } = new AbortController()
  const writes = [{}, {}, { signal }, {}, { timeoutMs: 5 }, { timeoutMs: 5 }].map((options) => c.run('x', [], options))
  await new Promise((resolve) => setImmediate(resolve))
  const sent = asked.splice(0)
  assert.deepEqual(
    sent.map((one) => [writesOf(one).map(({ n }) => n), one.signal === signal]),
    [
      [[2, 3], false],
      [[4], true],
      [[5], false],
      [[6, 7], false],
    ],
  )
  assert.ok(sent[3]!.deadline < sent[2]!.deadline)
  for (const one of sent) one.answer({ ok: writesOf(one).map(() => ({ ok: [1, 1] })) })
  await Promise.all(writes)
})

test('an OPEN that fails is tried again by the next write', async () => {
  const { client: c, next } = client()
  const first = c.run('x')
  ;(await next(METHOD.OPEN)).fail(lost('not-committed'))
  await assert.rejects(first, code('DISCONNECTED', 'not-committed'))
  const second = c.run('x')
  ;(await next(METHOD.OPEN)).answer({ ok: null })
  ;(await next(METHOD.WRITE)).answer(OK)
  await second
})

describe('C4: three outcomes', () => {
  async function opened(): ReturnType<typeof openedOnce> {
    return openedOnce()
  }
  async function openedOnce(): Promise<ReturnType<typeof client>> {
    const made = client()
    const first = made.client.run('x')
    ;(await made.next(METHOD.OPEN)).answer({ ok: null })
    ;(await made.next(METHOD.WRITE)).answer(OK)
    await first
    return made
  }

  test('C4: an abort rejects at once with outcome unknown and a key, and the key tells later', async () => {
    const { client: c, next } = await opened()
    const write = c.run('x')
    const sent = await next(METHOD.WRITE)
    sent.fail(new ConclaveError('ABORTED', 'stop', { outcome: 'unknown', cause: 'reason' }))
    let key = ''
    await assert.rejects(write, (error: ConclaveError) => {
      key = error.key!
      return code('ABORTED', 'unknown')(error) && error.cause === 'reason'
    })
    const outcome = c.outcome(key)
    const question = await next(METHOD.OUTCOME)
    assert.deepEqual(question.params, { w: sent.params['w'], of: sent.params['w'], n: 2 })
    // The number stays open until it is known, so that its outcome is kept.
    const during = c.run('y')
    const third = await next(METHOD.WRITE)
    assert.deepEqual([writesOf(third)[0]!.n, third.params['a']], [3, 1])
    third.answer(OK)
    await during
    question.answer({ ok: 'committed' })
    assert.equal(await outcome, 'committed')
    assert.equal(await c.outcome(key), 'committed')
    const after = c.run('z')
    const fourth = await next(METHOD.WRITE)
    assert.equal(fourth.params['a'], 3)
    fourth.answer(OK)
    await after
  })

  test("C4: a failure of the primary's is final and not committed", async () => {
    const { client: c, next } = await opened()
    const write = c.run('x')
    const error = {
      code: -32018,
      message: 'taken',
      data: { code: 'CONFLICT', outcome: 'not-committed', data: { sqlite: 'S' } },
    }
    ;(await next(METHOD.WRITE)).answer({ ok: [{ error }] })
    await assert.rejects(write, code('CONFLICT', 'not-committed'))
    const after = c.run('x')
    const sent = await next(METHOD.WRITE)
    assert.equal(sent.params['a'], 2)
    sent.answer(OK)
    await after
  })

  test('C4: what cannot be asked stays unknown, and is not asked for ever', async () => {
    const { client: c, next } = await opened()
    const write = c.run('x', [], { key: 'mine' })
    write.catch(() => {})
    ;(await next(METHOD.WRITE)).fail(lost('unknown'))
    ;(await next(METHOD.OUTCOME)).fail(lost('unknown'))
    await assert.rejects(
      write,
      (error: ConclaveError) => code('DISCONNECTED', 'unknown')(error) && error.key === 'mine',
    )
    // The key is the caller's own: another primary may know it.
    const outcome = c.outcome('mine')
    const question = await next(METHOD.OUTCOME)
    assert.equal(question.params['key'], 'mine')
    question.answer({ ok: 'not-committed' })
    assert.equal(await outcome, 'not-committed')
  })

  test('C4: before it was sent nothing is unknown', async () => {
    const { client: c, asked } = await opened()
    await assert.rejects(
      c.run('x', [], { signal: AbortSignal.abort(new Error('no')) }),
      code('ABORTED', 'not-committed'),
    )
    await assert.rejects(c.run('x', [], { timeoutMs: 0 }), code('TIMEOUT', 'not-committed'))
    await assert.rejects(c.run('x', [Infinity]), code('INVALID_PARAMS', 'not-committed'))
    await assert.rejects(c.run('x', [], { key: '' }), code('INVALID_OPTION', 'not-committed'))
    assert.equal(asked.length, 0)
    const fresh = client()
    const waiting = fresh.client.run('x', [], { timeoutMs: 5 })
    await assert.rejects(waiting, code('TIMEOUT', 'not-committed'))
    const stop = new AbortController()
    const aborted = fresh.client.run('x', [], { signal: stop.signal })
    stop.abort()
    await assert.rejects(aborted, code('ABORTED', 'not-committed'))
  })
})

test('A6: a writer that the database has forgotten settles as unknown and goes on under a new id', async () => {
  const { client: c, next } = client()
  const first = c.run('x')
  const open = await next(METHOD.OPEN)
  open.answer({ ok: null })
  const error = { code: -1, message: 'gone', data: { code: 'SESSION_EXPIRED', outcome: 'unknown' } }
  ;(await next(METHOD.WRITE)).answer({ ok: [{ error }] })
  await assert.rejects(first, code('SESSION_EXPIRED', 'unknown'))
  const second = c.run('x')
  const again = await next(METHOD.OPEN)
  assert.notEqual(again.params['w'], open.params['w'])
  again.answer({ ok: null })
  const write = await next(METHOD.WRITE)
  assert.deepEqual([writesOf(write)[0]!.n, write.params['w']], [1, again.params['w']])
  write.answer(OK)
  await second
})

test('A6: a new primary is told who is there, and only who it may know', async () => {
  const { client: c, asked, next } = client()
  c.found()
  assert.equal(asked.length, 0)
  const first = c.run('x')
  const open = await next(METHOD.OPEN)
  open.answer({ ok: null })
  ;(await next(METHOD.WRITE)).answer(OK)
  await first
  c.found()
  const here = await next(METHOD.HERE)
  assert.deepEqual(here.params, { w: open.params['w'] })
  const closing = c.close(now() + 1000)
  assert.equal(here.signal?.aborted, true, 'nobody waits for it')
  here.fail(lost('unknown'))
  ;(await next(METHOD.BYE)).answer({ ok: null })
  await closing
})

test('a clean goodbye is said when nothing is open, and only then', async () => {
  const { client: c, asked, next } = client()
  await c.close(now() + 1000)
  assert.equal(asked.length, 0)
  const first = c.run('x')
  ;(await next(METHOD.OPEN)).answer({ ok: null })
  const write = await next(METHOD.WRITE)
  await c.close(now() + 1000)
  assert.equal(asked.length, 0)
  write.answer(OK)
  await first
  const closing = c.close(now() + 1000)
  ;(await next(METHOD.BYE)).fail(lost('unknown'))
  await closing
})

test('a write that cannot be sent takes no number, fails no neighbour, and is not sent as it is later', async () => {
  const { client: c, next } = client()
  const ring: Record<string, unknown> = {}
  const params = { n: 1 }
  const writes = [c.run('x', ['a']), c.call('p', params), c.run('x', ['b'])]
  const hidden = { toJSON: () => new Uint8Array(2) }
  const bytes = [new Uint8Array(2), { bytes: new Uint8Array(2) }, [[Buffer.from('a')]], hidden]
  const bad = [...bytes, [1n], { n: 1n }, () => 0, Symbol('s')].map((value) => c.call('p', value))
  params.n = 2
  ring['self'] = ring
  bad.push(c.call('p', ring))
  const any = (value: unknown): never => value as never
  bad.push(
    c.run(any(undefined)),
    c.run(any(5)),
    c.run('x', any({ a: 1 })),
    c.run('x', any('ab')),
    c.run('x', any(null)),
  )
  bad.push(c.batch(any(undefined)), c.batch(any(['x'])), c.batch([any([5])]), c.batch([['x', any({ a: 1 })]]))
  for (const write of bad) await assert.rejects(write, code('INVALID_PARAMS', 'not-committed'))
  for (const key of ['', 5, null, {}]) {
    await assert.rejects(c.run('x', [], { key: any(key) }), code('INVALID_OPTION', 'not-committed'))
  }
  ;(await next(METHOD.OPEN)).answer({ ok: null })
  const sent = await next(METHOD.WRITE)
  assert.deepEqual(
    writesOf(sent).map(({ n, params }) => [n, params]),
    [
      [1, ['a']],
      [2, { n: 1 }],
      [3, ['b']],
    ],
  )
  sent.answer({ ok: [{ ok: [1, 1] }, { ok: null }, { ok: [1, 2] }] })
  await Promise.all(writes)
})

test('a statement of a transaction that is none is refused by name, and the transaction goes on', async () => {
  const { client: c, next } = client()
  const any = (value: unknown): never => value as never
  const done = c.transaction(async (tx) => {
    for (const bad of [tx.run(any(undefined)), tx.run('x', any({ a: 1 })), tx.run('x', any(1))]) {
      await assert.rejects(bad, code('INVALID_PARAMS', 'not-committed'))
    }
  })
  for (const method of [METHOD.OPEN, METHOD.BEGIN, METHOD.COMMIT]) (await next(method)).answer({ ok: null })
  await done
})

test('an answer that does not answer each write ends them all: PROTOCOL, unknown', async () => {
  for (const answer of [{ ok: null }, { ok: [{ ok: [1, 1] }] }]) {
    const { client: c, next } = client()
    const writes = ['a', 'b'].map((text) => c.run('x', [text]))
    ;(await next(METHOD.OPEN)).answer({ ok: null })
    ;(await next(METHOD.WRITE)).answer(answer)
    for (const write of writes) await assert.rejects(write, code('PROTOCOL', 'unknown'))
  }
})
