import { z } from 'zod'
import type { Context, Member } from '../../src/member/types.ts'
import type { MemberRef } from '../../src/wire/peers.ts'
import type { Reply, Stream } from '../../src/rpc/types.ts'
import { same, type Equal } from './equal.ts'
import { defineContract, join } from './face.ts'

const contract = defineContract({
  methods: {
    'note.count': { result: z.number() },
    'note.add': {
      params: z.object({ text: z.string(), tags: z.array(z.string()).default([]) }),
      result: z.number(),
      idempotent: true,
    },
    'note.find': { params: z.string().optional(), result: z.array(z.string()) },
    touch: { params: z.number() },
    render: { params: z.string(), yields: z.object({ percent: z.number() }), result: z.string(), to: 'any' },
    parse: { params: z.string().transform((text) => text.length), result: z.number().transform((n) => String(n)) },
  },
})

// The type forgets the schema library: this is all of it.
same<Equal<keyof (typeof contract)['methods']['note.count'], 'result'>>()
same<Equal<(typeof contract)['methods']['render']['to'], 'any'>>()

async function atTheCaller(member: Member<typeof contract>): Promise<void> {
  const count = await member.call('note.count')
  same<Equal<typeof count, number>>()
  const added = await member.call('note.add', { text: 'x' })
  same<Equal<typeof added, number>>()
  const found = await member.call('note.find')
  same<Equal<typeof found, string[]>>()
  const nothing = await member.call('touch', 1, { timeoutMs: 5, to: { name: 'editor' } })
  same<Equal<typeof nothing, void>>()
  // The caller passes what goes in and gets what comes out.
  const parsed = await member.call('parse', 'text')
  same<Equal<typeof parsed, string>>()

  // @ts-expect-error a method that the contract does not have
  await member.call('note.remove', 1)
  // @ts-expect-error params are missing
  await member.call('note.add')
  // @ts-expect-error params of another type
  await member.call('note.add', { text: 1 })
  // @ts-expect-error the method takes none
  await member.call('note.count', 1)
  // @ts-expect-error an option that does not exist
  await member.call('touch', 1, { timeout: 5 })

  const stream = member.stream('render', 'scene')
  same<Equal<typeof stream, Stream<{ percent: number }, string>>>()
  for await (const item of stream) same<Equal<typeof item, { percent: number }>>()
  // @ts-expect-error it yields nothing
  member.stream('note.count')

  for await (const reply of member.gather('note.count', undefined, { want: 2 })) {
    same<Equal<typeof reply, Reply<number>>>()
    if (reply.ok) same<Equal<typeof reply.result, number>>()
  }
  await member.notify('touch', 1, { to: 'others' })
  // @ts-expect-error
  await member.notify('touch', 'one')
}

async function atTheHandler(): Promise<void> {
  const member = await join('.', {
    contract,
    methods: {
      'note.count': () => 1,
      // Defaults are filled in before the handler runs.
      'note.add': async (params, ctx) => {
        same<Equal<typeof params, { text: string; tags: string[] }>>()
        same<Equal<typeof ctx, Context<typeof contract>>>()
        same<Equal<typeof ctx.caller, MemberRef>>()
        return (await ctx.member.call('note.count')) + params.tags.length
      },
      'note.find': (text) => (text === undefined ? [] : [text]),
      async *render(scene, { attempt }) {
        yield { percent: attempt }
        return scene
      },
      // What the schema gives back goes in, what it takes comes out.
      parse: (length) => length + 1,
    },
  })
  same<Equal<typeof member, Member<typeof contract>>>()

  // @ts-expect-error a handler that returns another type
  await join('.', { contract, methods: { 'note.count': () => 'one' } })
  // @ts-expect-error a handler of a method that the contract does not have
  await join('.', { contract, methods: { 'note.remove': () => {} } })
  await join('.', {
    contract,
    methods: {
      // @ts-expect-error yields another type
      async *render() {
        yield 1
        return ''
      },
    },
  })
  // Later, the same checks.
  member.offer({ touch: (n) => void n.toFixed() }, { concurrency: 2 })
  // @ts-expect-error
  member.offer({ touch: (n: string) => void n })
}

async function withoutAContract(): Promise<void> {
  const member = await join('.', {
    methods: {
      greet: (name: string) => `hello ${name}`,
      later: async (n: number, ctx) => n + ctx.attempt,
      async *ticks(): AsyncGenerator<number, boolean> {
        yield 1
        return true
      },
      now: () => Date.now(),
      lines: async () => new ReadableStream<string>(),
    },
  })
  const greeting = await member.call('greet', 'Ada')
  same<Equal<typeof greeting, string>>()
  const later = await member.call('later', 1)
  same<Equal<typeof later, number>>()
  const now = await member.call('now')
  same<Equal<typeof now, number>>()
  for await (const tick of member.stream('ticks')) same<Equal<typeof tick, number>>()
  for await (const line of member.stream('lines')) same<Equal<typeof line, string>>()
  // @ts-expect-error params of another type
  await member.call('greet', 1)
  // Others may offer what this one does not know.
  const other = await member.call('of.another.program', { any: 'thing' }, { to: 'any' })
  same<Equal<typeof other, unknown>>()

  const open = await join('.')
  const result = await open.call('anything', 1)
  same<Equal<typeof result, unknown>>()
  await open.call('anything')
  same<Equal<Awaited<ReturnType<typeof countOf>>, number>>()
  async function countOf() {
    return open.with<typeof contract>().call('note.count')
  }
}

async function aContractOfEventsOnly(): Promise<void> {
  // The section that is left out stays open: any name, unknown values.
  const events = defineContract({ events: { 'a.b': { data: z.string() } } })
  const member = await join('.', {
    contract: events,
    methods: {
      greet: (name: string, ctx) => {
        void ctx.member.publish('a.b', name)
        return `hello ${name}`
      },
    },
  })
  same<Equal<typeof member, Member<typeof events>>>()
  const greeting = await member.call('greet', 'Ada')
  same<Equal<typeof greeting, unknown>>()
  member.offer({ later: () => 1 })
  // @ts-expect-error no function
  member.offer({ later: 1 })
  const any: Member = member
  void any
}

async function options(): Promise<void> {
  // @ts-expect-error misspelt
  await join('.', { nam: 'editor' })
  // @ts-expect-error
  await join('.', { primary: 'maybe' })
  const none: { readonly name?: string } = {}
  await join(new URL('file:///x'), { name: none.name, signal: AbortSignal.timeout(1), waitMs: undefined })
  await join('.', {
    whilePrimary: async ({ term, signal, member }) => {
      same<Equal<typeof term, number>>()
      same<Equal<typeof signal, AbortSignal>>()
      same<Equal<typeof member, Member>>()
      return () => {}
    },
  })
  await join('.', { contract, whilePrimary: ({ member }) => void member.call('note.count') })
}

// Nothing here is run.
void [atTheCaller, atTheHandler, withoutAContract, aContractOfEventsOnly, options]
