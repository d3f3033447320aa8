import type { Bench, Case } from '../support/bench.ts'
import { messageOf } from '../support/bench.ts'
import { peerFile } from '../peers/index.ts'
import type { Processes } from '../support/processes.ts'

const NAME = 'join'
const OVER = 'over an empty start'

/** What a program writes to get the peer. */
const SPECIFIERS: Readonly<Record<string, string>> = {
  conclave: 'conclave',
  zeromq: 'zeromq',
  'vscode-jsonrpc': 'vscode-jsonrpc/node',
  'grpc-js': '@grpc/grpc-js',
  nats: '@nats-io/transport-node',
  birpc: 'birpc',
  ws: 'ws',
}

export const joinCase: Case = {
  name: NAME,
  title: 'Start of a process until it has imported, or joined; beside a process that does nothing',
  async run(bench) {
    await using processes = bench.processes()
    const shared = processes.folder()
    await processes.bare('stay', ['conclave, primary', shared])
    const starts: [subject: string, metric: string, program: string, args: () => string[]][] = [
      ['conclave', `join as secondary, ${OVER}`, 'join', () => [shared]],
      ['conclave', `join as primary, ${OVER}`, 'join', () => [processes.folder()]],
      ...Object.entries(SPECIFIERS).flatMap(([subject, specifier]): typeof starts => {
        return usable(bench, subject) ? [[subject, `import, ${OVER}`, 'import', () => [specifier]]] : []
      }),
    ]
    const rounds = bench.count(21, 2)
    for (let round = -1; round < rounds; round++) {
      bench.options.log(`${NAME}: round ${round + 1} of ${rounds}`)
      const empty = await started(processes, 'empty', [])
      if (round >= 0) bench.add({ case: NAME, subject: 'bare Node', metric: 'empty start' }, 'ms', empty)
      for (const [subject, metric, program, args] of starts) {
        const ms = await started(processes, program, args())
        if (round >= 0) bench.add({ case: NAME, subject, metric }, 'ms', ms - empty)
      }
    }
  },
}

function usable(bench: Bench, subject: string): boolean {
  if (!bench.wants(subject)) return false
  try {
    peerFile(subject)
    return true
  } catch (error) {
    bench.skip(NAME, subject, messageOf(error))
    return false
  }
}

async function started(processes: Processes, program: string, args: readonly string[]): Promise<number> {
  const { child, ms } = await processes.bare(program, args)
  // The next one starts when this one is gone.
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve))
  return ms
}
