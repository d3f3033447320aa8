// One of the demo's processes, started by conductor.ts. It ends on SIGTERM, or when its standard input does (then the
// conductor is gone); Ctrl-C reaches the whole terminal, and the conductor decides.
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { join, type Context } from '../../index.ts'
import { keepAsking } from './asking.ts'
import { hashFile } from './hash.ts'
import { INDEX_DATABASE } from './index-database.ts'
import { Keeper } from './keeper.ts'
import { TOPIC, type Answered, type Count, type FileIndexed, type Hashed, type Pong } from './protocol.ts'

/** Files that one process hashes at a time. */
const CONCURRENCY = 2

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'worker' },
    workspace: { type: 'string', default: '' },
    tree: { type: 'string', default: '' },
    pace: { type: 'string', default: '0' },
  },
})
const { name, tree } = values
const paceMs = Number(values.pace)

let published = 0
let acknowledged = 0

process.on('SIGINT', () => {})
const member = await join(values.workspace, {
  name,
  database: INDEX_DATABASE,
  methods: {
    ping: (_: undefined, ctx): Pong => ({ id: ctx.member.id, term: ctx.member.term }),
    count: async (): Promise<Count> => {
      while (acknowledged < published) await sleep(1)
      return { acknowledged }
    },
  },
  whilePrimary: ({ member: primary, term }) => {
    const keeper = new Keeper(primary, term, tree)
    keeper.start()
    return () => keeper.stop()
  },
})
member.offer({ hash }, { to: 'any', concurrency: CONCURRENCY })
void keepAsking(member, (answer: Answered) => void member.publish(TOPIC.answered, answer))

let ending = false
process.on('SIGTERM', end)
process.on('SIGHUP', end)
process.stdin.on('end', end).on('error', end).resume()
void member.closed.then(() => process.exit(ending ? 0 : 1))

/** Answers when the switchboard has the event: a file in the index is a file whose event was acknowledged. */
async function hash(path: string, ctx: Context): Promise<Hashed & { readonly worker: string }> {
  const [hashed] = await Promise.all([
    hashFile(joinPath(tree, path), ctx.signal),
    paceMs > 0 ? sleep(paceMs) : undefined,
  ])
  const event: FileIndexed = { number: ++published, path, ...hashed }
  await member.publish(TOPIC.indexed, event)
  acknowledged++
  return { worker: name, ...hashed }
}

function end(): void {
  ending = true
  void member.close({ timeoutMs: 2_000 })
}
