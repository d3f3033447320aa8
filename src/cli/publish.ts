import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { EXIT } from './exit.ts'
import { readJson } from './input.ts'
import type { Verb } from './verb.ts'

export const publish: Verb = {
  usage: '<topic> [json|-] [--sensitive] [--wait MS] [--json]',
  about: `Publishes one event and ends when the switchboard has it. Without data the event has none; - reads it from
standard input; numbers below zero go behind --. With --json it prints { topic, seq, term }.
No tail shows data of --sensitive. Give a secret by -, since arguments are seen in the list of processes.`,
  words: [1, 2],
  options: {
    sensitive: { type: 'boolean', help: 'mark the data as a secret: nothing prints it' },
    ...PLACE,
    ...WAIT,
  },
  examples: [
    `conclave publish session.update '{"id":7}'`,
    'git log -1 --format=%H | jq -R . | conclave publish build.done -',
    'jq -R . token.txt | conclave publish session.token - --sensitive',
  ],
  run: async (given, { out, signal }) => {
    const [topic = '', word] = given.words
    const sensitive = given.has('sensitive')
    const data = await readJson(word, 'The data', { signal, discreet: sensitive })
    return withMember(given, { signal }, async (member) => {
      const seq = await member.publish(topic, data, { sensitive })
      if (given.has('json')) await out.json({ topic, seq, term: member.term })
      return EXIT.ok
    })
  },
}
