/* oxlint-disable no-console -- written as a user would */
// (9) Only while primary.
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from '../face.ts'
declare function openIndex(): Promise<{ flush(): Promise<void>; tick(): Promise<void> }>
const member = await join('.', {
  app: 'indexer',
  async whilePrimary({ term, signal, member }) {
    const index = await openIndex() // before it serves
    member.offer({ 'index.flush': () => index.flush() }, { signal }) // withdrawn with the term
    const loop = (async () => {
      while (!signal.aborted) {
        await index.tick()
        await sleep(1000, undefined, { signal }).catch(() => {})
      }
    })()
    console.error('primary of term', term)
    return async () => {
      await loop
      await index.flush()
    } // before the next one starts
  },
})
process.once('SIGTERM', () => void member.close())
