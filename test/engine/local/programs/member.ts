/** A member that does one thing: `node member.ts <folder> <what>`. */
import { LocalEngine } from '../../../../src/engine/local/local-engine.ts'
import { openWorkspace } from '../../../../src/election/index.ts'
import { posixPlatform } from '../../../../src/platform/index.ts'
import { TO_PRIMARY } from '../../../../src/rpc/address.ts'
import { unixTransport } from '../../../../src/transport/index.ts'
import { commands, say } from '../../../support/program.ts'

const [folder = '', what = ''] = process.argv.slice(2)
const platform = posixPlatform()
const before = [process.listenerCount('exit'), process.listenerCount('beforeExit')]
const engine = new LocalEngine({
  workspace: openWorkspace(platform, folder, { create: true }),
  transport: unixTransport(platform),
  name: what,
  pid: process.pid,
  version: 0,
  minVersion: 0,
  primary: 'may',
  waitMs: 0,
  ref: what === 'leave',
  limits: {},
})
await engine.join(Infinity, undefined)
engine.open()
say({ ready: true, role: engine.role })
const call = (method: string): Promise<unknown> =>
  engine.call({ method, body: undefined, target: TO_PRIMARY, deadline: engine.now() + 20_000, idempotent: true })

if (what === 'leave') {
  await call('none').catch(() => {})
  await engine.publish('x', '1')
  const subscription = engine.subscribe(
    { pattern: 'x', from: 'now', maxQueued: undefined, overflow: undefined },
    (event) => event,
  )
  await subscription.ready
  await engine.close({ timeoutMs: 5000 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  // For one that was held up the time is over before its loop has turned.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  const alive = process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap')
  say({
    alive,
    listeners: [process.listenerCount('exit'), process.listenerCount('beforeExit')].join(),
    before: before.join(),
  })
} else if (what === 'pending') {
  void call('slow').then((answer) => say({ answer }))
} else if (what === 'stream') {
  const stream = engine.stream({ method: 'count', body: undefined, target: TO_PRIMARY, deadline: Infinity })
  void (async () => {
    for (;;) {
      const step = await stream.next()
      if (step.done === true) return say({ answer: step.value })
    }
  })()
} else if (what === 'later') {
  // Nothing but the test keeps this process alive.
  for await (const _ of commands());
} else if (what === 'goodbye') {
  for await (const { count, signal } of commands<{ count: number; signal?: NodeJS.Signals }>()) {
    const some: Promise<number>[] = []
    for (let i = 0; i < count; i++) some.push(engine.publish('x', String(i)))
    await Promise.all(some)
    if (signal !== undefined) process.kill(process.pid, signal)
    process.exit(0)
  }
} else if (what === 'publish') {
  const publishes: Promise<number>[] = []
  for (let i = 0; i < 20_000; i++) publishes.push(engine.publish('x', String(i)))
  await Promise.all(publishes)
  process.exit(0)
}
