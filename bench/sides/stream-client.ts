import type { Commands } from '../support/side.ts'
import { streamingOf, type PeerOptions } from './peer-side.ts'

export async function start({ file, place }: PeerOptions): Promise<Commands> {
  const client = await (await streamingOf(file)).connect(place)
  return {
    /** Items a second. */
    async stream({ count }: { readonly count: number }): Promise<number> {
      let have = 0
      const begin = performance.now()
      await client.stream(count, () => have++)
      const seconds = (performance.now() - begin) / 1000
      if (have !== count) throw new Error(`${have} items of ${count}`)
      return count / seconds
    },
  }
}
