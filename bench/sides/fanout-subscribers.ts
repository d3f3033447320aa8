import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Commands } from '../support/side.ts'
import { CREDIT_EVERY, CREDIT_SOCKET } from './fanout-credit.ts'
import { fanoutOf, type PeerOptions } from './peer-side.ts'

export interface SubscribersOptions extends PeerOptions {
  /** Numbers of this process's subscribers, each with a connection of its own. */
  readonly indexes: readonly number[]
}

export async function start({ file, place, indexes }: SubscribersOptions): Promise<Commands> {
  const line = connect(join(place.folder, CREDIT_SOCKET))
  await once(line, 'connect')
  const fanout = await fanoutOf(file)
  // Told once a turn: a write for each byte would cost a process of eight subscribers more than its messages.
  let credits: number[] = []
  const tell = (): void => {
    line.write(Uint8Array.from(credits))
    credits = []
  }
  for (const index of indexes) {
    let have = 0
    await fanout.subscribe(place, () => {
      if (++have % CREDIT_EVERY === 0 && credits.push(index) === 1) setImmediate(tell)
    })
  }
  return {}
}
