import { median, quantile } from './statistics.ts'

/** What one subject did by one measure of one case. */
export interface Row {
  readonly case: string
  readonly subject: string
  readonly metric: string
  readonly unit: string
  /** The median of the runs. */
  readonly value: number
  readonly min: number
  readonly max: number
  readonly runs: number
  /** Over the raw floor of the same case; null where there is none. */
  readonly vsFloor: number | null
  /** Over ourselves; null where we have no such row. */
  readonly vsUs: number | null
}

export const US = 'conclave'
/** The first of them that took part in the case. */
export const FLOORS: readonly string[] = ['node:net', 'C echo', 'node:sqlite', 'bare Node']

export interface Quantity {
  readonly case: string
  readonly subject: string
  readonly metric: string
}

interface Series extends Quantity {
  readonly unit: string
  readonly values: number[]
}

/** All that was measured in one run of the bench. */
export class Results {
  readonly #series = new Map<string, Series>()
  readonly #foreign: Row[] = []

  add(quantity: Quantity, unit: string, ...values: readonly number[]): void {
    const key = keyOf(quantity)
    let series = this.#series.get(key)
    if (series === undefined) this.#series.set(key, (series = { ...quantity, unit, values: [] }))
    series.values.push(...values)
  }

  /** Rows that another program made. */
  addRows(rows: readonly Row[]): void {
    this.#foreign.push(...rows)
  }

  /** What failed half-way is not shown as if it were whole. */
  drop(benchCase: string, subject: string): void {
    for (const [key, series] of this.#series) {
      if (series.case === benchCase && series.subject === subject) this.#series.delete(key)
    }
  }

  value(quantity: Quantity): number | undefined {
    const series = this.#series.get(keyOf(quantity))
    if (series !== undefined) return median(series.values)
    return this.#foreign.find((row) => keyOf(row) === keyOf(quantity))?.value
  }

  /** Of all values of a series. */
  quantile(quantity: Quantity, part: number): number {
    return quantile(this.#series.get(keyOf(quantity))?.values ?? [], part)
  }

  /**
   * The median of the ratios of each round, where both sides took part in the same rounds: a machine that slows down
   * slows both sides of a round. Otherwise the ratio of the medians.
   */
  ratio(quantity: Quantity, over: Quantity): number | undefined {
    const [left, right] = [this.#series.get(keyOf(quantity)), this.#series.get(keyOf(over))]
    if (left !== undefined && right !== undefined && left.values.length === right.values.length) {
      return median(left.values.map((value, round) => value / (right.values[round] ?? Number.NaN)))
    }
    const [value, base] = [this.value(quantity), this.value(over)]
    return value === undefined || base === undefined ? undefined : value / base
  }

  rows(): Row[] {
    const own = [...this.#series.values()].map(({ values, unit, ...quantity }): Row => {
      const other = (subject: string) => this.ratio(quantity, { ...quantity, subject }) ?? null
      return {
        ...quantity,
        unit,
        value: median(values),
        min: Math.min(...values),
        max: Math.max(...values),
        runs: values.length,
        vsFloor: FLOORS.map(other).find((ratio) => ratio !== null) ?? null,
        vsUs: other(US),
      }
    })
    return [...own, ...this.#foreign]
  }
}

function keyOf({ case: benchCase, subject, metric }: Quantity): string {
  return [benchCase, subject, metric].join('\0')
}
