/** A contract of schemas: types where you call, checks where values arrive. zod, valibot and arktype fit. */
import { ConclaveError, defineContract, join } from 'conclave'
import { z } from 'zod'

const notes = defineContract({
  methods: {
    'note.add': {
      params: z.object({ text: z.string().min(1), tags: z.array(z.string()).default([]) }),
      result: z.number(),
    },
    'note.count': { result: z.number(), idempotent: true },
  },
  events: {
    'note.added': { data: z.object({ id: z.number() }) },
    'note.shared': { data: z.object({ link: z.string() }), sensitive: true }, // `conclave tail` prints [sensitive]
  },
})

const all: string[] = []
const keeper = await join('.', {
  contract: notes,
  methods: {
    'note.add': async ({ text, tags }, { member }) => {
      const id = all.push([text, ...tags].join(' #'))
      await member.publish('note.added', { id })
      return id
    },
    'note.count': () => all.length,
  },
})

const writer = await join('.', { contract: notes })
writer.on('note.added', ({ data }) => console.log('added', data.id)) // prints: added 1
writer.on('note.shared', ({ data, sensitive }) => console.log(sensitive ? '[a link]' : data)) // prints: [a link]
await writer.publish('note.shared', { link: 'https://notes.example/s3cret' })
await writer.call('note.add', { text: 'buy milk', tags: ['home'] })
console.log(await writer.call('note.count'), all[0]) // prints: 1 buy milk #home

try {
  await writer.call('note.add', { text: '' })
} catch (error) {
  if (!ConclaveError.is(error, 'INVALID_PARAMS')) throw error
  console.log(error.code, error.message) // prints: INVALID_PARAMS The params of "note.add" do not fit the contract: text:
}

await writer.close()
await keeper.close()
