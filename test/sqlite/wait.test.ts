import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../src/sqlite/wait.ts'
import { code, now } from './support.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('what is waited for without a deadline keeps no timer, and the process can end', async () => {
  const before = timers()
  const stop = new AbortController()
  const waiting = until(new Promise(() => {}), 'It', { deadline: Infinity, signal: stop.signal }, now())
  assert.equal(timers(), before)
  const bounded = until(new Promise(() => {}), 'It', { deadline: now() + 1_000_000, signal: stop.signal }, now())
  assert.equal(timers(), before + 1)
  stop.abort()
  await assert.rejects(waiting, code('ABORTED', 'not-committed'))
  await assert.rejects(bounded, code('ABORTED', 'not-committed'))
  assert.equal(timers(), before)
  assert.equal(await until(Promise.resolve(7), 'It', { deadline: Infinity }, now()), 7)
  await assert.rejects(until(new Promise(() => {}), 'It', { deadline: now() }, now()), code('TIMEOUT', 'not-committed'))
})
