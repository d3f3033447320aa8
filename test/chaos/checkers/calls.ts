import { fault, type Fault } from './fault.ts'
import type { Journal } from './journal.ts'

export interface CallFigures {
  readonly calls: number
  readonly answered: number
  readonly unknown: number
}

interface Call {
  readonly caller: string
  readonly idempotent: boolean
  end: { readonly ok: boolean; readonly code: string; readonly outcome: string } | undefined
}

/** What a fault of the plan may do to a call; any other code is a mistake somewhere. */
const EXPECTED: ReadonlySet<string> = new Set([
  'DISCONNECTED',
  'CALLEE_LOST',
  'PRIMARY_LOST',
  'PRIMARY_UNRESPONSIVE',
  'MEMBER_NOT_FOUND',
  'METHOD_NOT_FOUND',
  'TIMEOUT',
  'CLOSED',
  'ABORTED',
])

/**
 * A call that was answered ran once, one that is not repeatable at most once, one reported as not run never; all settle.
 * @param alive callers that lived to the end: theirs must have settled
 */
export function checkCalls(
  journals: readonly Journal[],
  alive: ReadonlySet<string>,
): { faults: Fault[]; figures: CallFigures } {
  const calls = new Map<string, Call>()
  const runs = new Map<string, string[]>()
  for (const { name, lines } of journals) {
    for (const line of lines) {
      if (line.k === 'run') runs.set(line.item, [...(runs.get(line.item) ?? []), name])
      else if (line.k === 'invoke' && line.op === 'call') {
        calls.set(line.item, { caller: name, idempotent: line.idempotent === true, end: undefined })
      } else if (line.k === 'ok' || line.k === 'no') {
        const call = calls.get(line.item)
        if (call === undefined) continue
        call.end =
          line.k === 'ok' ? { ok: true, code: '', outcome: '' } : { ok: false, code: line.code, outcome: line.outcome }
      }
    }
  }
  const faults: Fault[] = []
  let answered = 0
  let unknown = 0
  for (const [item, { caller, idempotent, end }] of calls) {
    const ran = runs.get(item) ?? []
    const where = `${item} of ${caller}`
    if (end === undefined) {
      unknown++
      if (alive.has(caller)) faults.push(fault('hung', `${where} never settled`))
    } else if (end.ok) {
      answered++
      if (ran.length === 0) faults.push(fault('lost', `${where} was answered, but no handler ran`))
    } else {
      if (end.outcome !== 'not-committed') unknown++
      else if (ran.length > 0)
        faults.push(fault('phantom', `${where} failed as not run (${end.code}), but ran in ${ran.join(', ')}`))
      if (!EXPECTED.has(end.code)) faults.push(fault('crash', `${where} failed with ${end.code} (${end.outcome})`))
    }
    if (!idempotent && ran.length > 1)
      faults.push(fault('duplicated', `${where} ran ${ran.length} times: ${ran.join(', ')}`))
  }
  for (const [item, ran] of runs) {
    if (!calls.has(item)) faults.push(fault('phantom', `${item} ran in ${ran.join(', ')}, and nobody called it`))
  }
  return { faults, figures: { calls: calls.size, answered, unknown } }
}
