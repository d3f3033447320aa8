/** Joins and leaves a bus when it is told to, and says whether it cleaned up. */
import { consume, type EventConsumer } from '../../../../src/dialects/eventbus/index.ts'
import { commands, ready, say } from '../../../support/program.ts'

const socket = process.argv[2] as string
let consumer: EventConsumer | undefined
ready()
for await (const { do: what } of commands<{ readonly do: string }>()) {
  if (what === 'join') {
    consumer = await consume({ socket, eventKey: 'k', eventTypes: ['a'], cleanup: () => {} })
    say({ joined: true })
  } else {
    const end = await consumer?.close()
    say({ cleanup: end?.cleanup })
  }
}
