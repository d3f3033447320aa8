import type { Report } from './state.ts'

/** The last lines of a run, in words. */
export function summaryOf(report: Report): string[] {
  const { files, indexed, lost, duplicated, terms, failovers, events, changed, bytes, durationMs, problems, ok } =
    report
  const each = failovers.map(({ ms }) => `${ms.toFixed(1)} ms`).join(', ')
  const median = report.medianFailoverMs === undefined ? '' : ` (median ${report.medianFailoverMs.toFixed(1)} ms)`
  const notCompared = changed > 0 ? `; ${changed} changed meanwhile and were not compared` : ''
  return [
    `${ok ? 'ok' : 'FAILED'}: ${files} files (${(bytes / 1e6).toFixed(0)} MB), ${indexed} indexed, ${lost} lost, ${duplicated} duplicated${notCompared}`,
    `${terms} terms, failovers ${each}${median}`,
    `${events.published} events published, ${events.delivered} delivered, ${events.missed} missed, in ${(durationMs / 1000).toFixed(1)} s`,
    ...problems.map((problem) => `problem: ${problem}`),
  ]
}
