import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { EXIT } from './exit.ts'
import { readJson } from './input.ts'
import type { Verb } from './verb.ts'

export const publish: Verb = {
  usage: '<topic> [json|-] [--wait MS] [--json]',
  about: `Publishes one event and ends when the switchboard has it. Without data the event has none; - reads it from
standard input. With --json it prints { topic, seq, term }.`,
  words: [1, 2],
  options: { ...PLACE, ...WAIT },
  examples: [
    `conclave publish session.update '{"id":7}'`,
    'git log -1 --format=%H | jq -R . | conclave publish build.done -',
  ],
  run: async (given, { out, signal }) => {
    const [topic = '', word] = given.words
    const data = await readJson(word, 'The data')
    return withMember(given, { signal }, async (member) => {
      const seq = await member.publish(topic, data)
      if (given.has('json')) await out.json({ topic, seq, term: member.term })
      return EXIT.ok
    })
  },
}
