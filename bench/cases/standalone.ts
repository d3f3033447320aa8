import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from '../support/bench.ts'
import type { Row } from '../support/rows.ts'

/** A program of bench/ that measures by itself and prints rows with `--json`: one array, or a row on each line. */
export function standalone(name: string, title: string): Case {
  return {
    name,
    title,
    async run(bench) {
      const program = join(import.meta.dirname, '..', `${name}.ts`)
      if (!existsSync(program)) throw new Error(`bench/${name}.ts is not there`)
      await using processes = bench.processes()
      const words = [...process.execArgv, program, '--json', ...(bench.options.quick ? ['--quick'] : [])]
      bench.options.log(`${name}: bench/${name}.ts`)
      bench.results.addRows(rowsOf(await processes.execute(process.execPath, words)))
    },
  }
}

function rowsOf(text: string): Row[] {
  const whole = text.trim()
  const parsed: unknown = whole.startsWith('[') ? JSON.parse(whole) : whole.split('\n').map((line) => JSON.parse(line))
  if (!Array.isArray(parsed)) throw new Error('it printed no rows')
  return parsed as Row[]
}
