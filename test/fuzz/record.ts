/** Records a link of the local engine anew: `node --conditions=source test/fuzz/record.ts`. Writes test/fuzz/corpus/. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { join } from 'conclave'
import { setTimeout } from 'node:timers/promises'
import { relay, type Direction } from './relay.ts'

const folder = mkdtempSync(path(tmpdir(), 'record-'))
const seen: Record<Direction, Buffer[]> = { member: [], primary: [] }
const cleanups: (() => unknown)[] = []
const primary = await join(folder, { name: 'first', methods: { echo: (x: unknown) => x } })
await relay({ after: (run: () => unknown) => cleanups.push(run) } as never, folder, (from, bytes) => {
  seen[from].push(Buffer.from(bytes))
  return bytes
})
const member = await join(folder, { name: 'second', methods: { twice: (n: number) => 2 * n } })
const events = member.subscribe('x.*')
await events.ready
await member.call('echo', { text: 'ü', list: [1, null] })
await primary.call('twice', 4, { to: { name: 'second' } } as never)
await primary.publish('x.a', { n: 1 })
await member.publish('x.b', 'long '.repeat(400))
await member.call('none', 1).catch(() => {})
await setTimeout(100)
await member.close()
await primary.close()
for (const run of cleanups) await run()
for (const [from, chunks] of Object.entries(seen)) {
  const hex = Buffer.concat(chunks)
    .toString('hex')
    .replace(/.{1,120}/g, '$&\n')
  writeFileSync(new URL(`./corpus/link-from-${from}.hex`, import.meta.url), hex)
}
rmSync(folder, { recursive: true })
