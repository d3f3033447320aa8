import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DeadlineWheel, type DeadlineEntry } from '../../src/rpc/timers.ts'
import { temporaryDirectory } from '../support/index.ts'

const now = (): number => performance.now()

function block(ms: number): void {
  for (const end = now() + ms; now() < end;);
}

/** An entry that says when it expired. */
function waiter(): { readonly entry: DeadlineEntry; readonly at: Promise<number> } {
  const entry: DeadlineEntry = { expired: () => {} }
  const at = new Promise<number>((resolve) => (entry.expired = () => resolve(now())))
  return { entry, at }
}

/** The wheel does not hold the process, so a test that only waits for it must. */
async function held<T>(work: Promise<T>): Promise<T> {
  const hold = setInterval(() => {}, 1000)
  try {
    return await work
  } finally {
    clearInterval(hold)
  }
}

describe('DeadlineWheel', () => {
  it('never expires an entry early, in the order of the deadlines, also of those added late', async () => {
    const wheel = new DeadlineWheel({ now })
    const order: number[] = []
    const start = now()
    const all = [40, 5, 0, 23, 5.5, -7, 12].map(async (ms) => {
      const { entry, at } = waiter()
      wheel.add(start + ms, entry)
      assert.ok((await at) >= start + ms)
      order.push(ms)
    })
    await held(Promise.all(all))
    assert.deepEqual(
      order.toSorted((a, b) => a - b),
      order,
    )
    assert.equal(wheel.size, 0)
  })

  it('never settles within add, even when the deadline has passed', async () => {
    const wheel = new DeadlineWheel({ now })
    const { entry, at } = waiter()
    let settled = false
    void at.then(() => (settled = true))
    wheel.add(now() - 1000, entry)
    await Promise.resolve()
    assert.equal(settled, false)
    await held(at)
  })

  it('forgets what is removed, and moves what is added again', async () => {
    const wheel = new DeadlineWheel({ now })
    const [gone, moved, last] = [waiter(), waiter(), waiter()]
    gone.entry.expired = () => assert.fail('it was removed')
    const start = now()
    wheel.add(start + 5, gone.entry)
    wheel.add(start + 5, moved.entry)
    wheel.add(start + 60_000, moved.entry)
    wheel.add(start + 30, last.entry)
    assert.equal(wheel.remove(gone.entry), true)
    assert.equal(wheel.remove(gone.entry), false)
    await held(last.at)
    assert.equal(wheel.size, 1)
    const soon = now() + 5
    wheel.add(soon, moved.entry)
    assert.ok((await held(moved.at)) >= soon)
    assert.equal(wheel.remove(moved.entry), false)
  })

  it('B1: an answer that came while the loop was blocked beats its deadline', async (t) => {
    // No TCP: what is written there reaches the other end by a thread of the kernel, which may have to wait.
    const path = join(temporaryDirectory(t), 's')
    const server = createServer().listen(path)
    await once(server, 'listening')
    const client = connect(path)
    const [peer] = (await once(server, 'connection')) as [Socket]
    const wheel = new DeadlineWheel({ now })
    for (let round = 0; round < 10; round++) {
      let expired = false
      const entry: DeadlineEntry = { expired: () => (expired = true) }
      const answered = once(client, 'data').then(() => wheel.remove(entry))
      wheel.add(now() + 5, entry)
      peer.write('answer')
      block(20)
      assert.equal(await answered, true)
      assert.equal(expired, false)
    }
    wheel.close()
    client.destroy()
    peer.destroy()
    server.close()
  })

  it('B1: what became due after the timer fired waits for a turn of its own', async () => {
    // The loop blocks past the second deadline right after the timer of the first has looked at the clock.
    let clock = 0
    const seen = (): number => {
      const time = clock
      if (time === 5) clock = 40
      return time
    }
    const wheel = new DeadlineWheel({ now: seen })
    let order = ''
    const second = new Promise<void>((resolve) => {
      wheel.add(25, { expired: () => ((order += 'second '), resolve()) })
    })
    wheel.add(5, {
      expired: () => {
        order += 'first '
        setImmediate(() => (order += 'turn '))
      },
    })
    clock = 5
    await held(second)
    assert.equal(order, 'first turn second ')
    wheel.close()
  })

  it('B1: a deadline beyond the range of setTimeout does not fire at once', async () => {
    const wheel = new DeadlineWheel({ now })
    const warnings: string[] = []
    const warned = (warning: Error): unknown => warnings.push(warning.name)
    process.on('warning', warned)
    wheel.add(now() + 30 * 24 * 3600 * 1000, { expired: () => assert.fail('30 days have not passed') })
    await held(sleep(30))
    process.off('warning', warned)
    assert.deepEqual(warnings, [])
    assert.equal(wheel.size, 1)
    wheel.close()
  })

  it('Infinity is no deadline', () => {
    const wheel = new DeadlineWheel({ now })
    const { entry } = waiter()
    wheel.add(now() + 1000, entry)
    wheel.add(Infinity, entry)
    assert.equal(wheel.size, 0)
    assert.throws(() => wheel.add(Number.NaN, entry), /not a number/)
  })

  it('an entry that throws does not keep the others from ending', async () => {
    const wheel = new DeadlineWheel({ now })
    const { entry, at } = waiter()
    const thrown = new Promise((resolve) => process.setUncaughtExceptionCaptureCallback(resolve))
    wheel.add(now() + 5, {
      expired: () => {
        throw new Error('a fault')
      },
    })
    wheel.add(now() + 5.5, entry)
    try {
      assert.match(String(await held(thrown)), /a fault/)
    } finally {
      process.setUncaughtExceptionCaptureCallback(null)
    }
    await held(at)
  })

  it('entries may add and remove others while they expire', async () => {
    const wheel = new DeadlineWheel({ now })
    const removed: DeadlineEntry = { expired: () => assert.fail('it was removed') }
    const added = waiter()
    const due = now() + 5
    wheel.add(due, {
      expired: () => {
        wheel.remove(removed)
        wheel.add(due, added.entry)
      },
    })
    wheel.add(due, removed)
    await held(added.at)
  })

  it('close: nothing expires any more', async () => {
    const wheel = new DeadlineWheel({ now })
    const fault: DeadlineEntry = { expired: () => assert.fail('it was closed') }
    wheel.add(now() + 2, fault)
    wheel.close()
    wheel.add(now() + 2, fault)
    await held(sleep(20))
    assert.equal(wheel.size, 0)
  })

  it('holds the process exactly while it is to and has entries', () => {
    const run = (body: string): string => {
      const url = new URL('../../src/rpc/timers.ts', import.meta.url).href
      const code = `
        import { DeadlineWheel } from ${JSON.stringify(url)}
        const now = () => performance.now()
        const entry = { expired: () => console.log('expired') }
        ${body}`
      return spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', timeout: 60_000 })
        .stdout
    }
    // Where it does not hold the process the time is long: it must not pass while a slow one is about to end.
    assert.equal(run(`new DeadlineWheel({ now }).add(now() + 5000, entry)`), '')
    assert.equal(run(`new DeadlineWheel({ now, ref: true }).add(now() + 50, entry)`), 'expired\n')
    const later = (ms: number): string => `const wheel = new DeadlineWheel({ now }); wheel.add(now() + ${ms}, entry)`
    assert.equal(run(`${later(50)}; wheel.ref()`), 'expired\n')
    assert.equal(run(`${later(5000)}; wheel.ref(); wheel.unref()`), '')
    // The timer of the first entry is still set: alone it must not hold the process, with the second it must.
    const emptied = `const wheel = new DeadlineWheel({ now, ref: true }); const first = { expired() {} }
      wheel.add(now() + 3600000, first); wheel.remove(first)`
    assert.equal(run(emptied), '')
    assert.equal(run(`${emptied}; wheel.add(now() + 50, entry)`), 'expired\n')
  })
})
