/* oxlint-disable no-console, typescript/no-floating-promises -- written as a user would */
// (2) One watches, all hear; it moves when the watcher dies and ends with the last one.
import { watch } from 'node:fs'
import { defineContract, join } from '../face.ts'
import { z } from 'zod'
const contract = defineContract({
  events: { 'file.changed': { data: z.object({ path: z.string() }) }, 'watch.restarted': { data: z.object({}) } },
})
const member = await join('.', { app: 'watchd', contract })
const running = async (dir: string) =>
  member.share(`watch:${dir}`, ({ moved }) => {
    const watcher = watch(dir, { recursive: true }, (_, path) => {
      if (path) member.publish('file.changed', { path })
    })
    if (moved) member.publish('watch.restarted', {}) // a hole between two watchers: consumers rescan
    return () => watcher.close()
  })
await using held = await running('src')
for await (const e of member.subscribe('file.changed')) {
  if (e.missed) console.log('rescan')
  else console.log(e.data.path)
}
void held
