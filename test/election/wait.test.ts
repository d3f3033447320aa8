import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BackOff, oneTurn, sleep } from '../../src/election/index.ts'

describe('sleep', () => {
  it('never ends early, in fractions of a millisecond or in whole ones', async () => {
    for (const ms of [0, 0.2, 0.5, 1, 2, 5.5]) {
      const start = performance.now()
      await sleep(ms)
      assert(performance.now() - start >= ms, String(ms))
    }
  })

  it('B1 lets the event loop turn, even for no time', async () => {
    let turned = false
    setImmediate(() => (turned = true))
    await sleep(0)
    assert(turned)
    turned = false
    setImmediate(() => (turned = true))
    await oneTurn()
    assert(turned)
  })

  it('B1 sleeps longer than a timer of Node can, until its signal', { timeout: 10_000 }, async (t) => {
    const warnings: string[] = []
    const warned = (warning: Error): number => warnings.push(warning.name)
    process.on('warning', warned)
    t.after(() => process.off('warning', warned))
    for (const ms of [2 ** 31, Infinity]) {
      const abort = new AbortController()
      setTimeout(() => abort.abort(), 20)
      await sleep(ms, { signal: abort.signal })
      assert(abort.signal.aborted, 'it did not fire at once')
    }
    await sleep(Infinity, { signal: AbortSignal.abort() })
    assert.deepEqual(warnings, [], 'a timer of Node that is too long fires at once, with a warning')
  })
})

describe('BackOff', () => {
  it('doubles from the first to the last, and begins again', () => {
    const backOff = new BackOff(100, 500)
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => backOff.next()),
      [100, 200, 400, 500, 500],
    )
    backOff.reset()
    assert.equal(backOff.next(), 100)
  })
})
