import { parseArgs } from 'node:util'
import { UsageError } from './exit.ts'
import { nearest } from './nearest.ts'

export interface OptionSpec {
  readonly type: 'boolean' | 'string'
  readonly short?: string
  /** How help calls its value. */
  readonly value?: string
  /** Not in help when left out. */
  readonly help?: string
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>

export interface NumberRange {
  readonly min?: number
  readonly max?: number
}

/** What was written on the command line. */
export class Given {
  readonly words: readonly string[]
  /** Behind `--`, for a verb that takes it as a command of its own; undefined without one. */
  readonly rest: readonly string[] | undefined
  readonly #values: ReadonlyMap<string, string | true>

  constructor(
    values: ReadonlyMap<string, string | true>,
    words: readonly string[],
    rest: readonly string[] | undefined,
  ) {
    this.#values = values
    this.words = words
    this.rest = rest
  }

  has(option: string): boolean {
    return this.#values.has(option)
  }

  text(option: string): string | undefined {
    const value = this.#values.get(option)
    return value === true ? undefined : value
  }

  /** @throws UsageError */
  number(option: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: NumberRange = {}): number | undefined {
    const text = this.text(option)
    if (text === undefined) return undefined
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (value >= min && value <= max && Number.isSafeInteger(value)) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw new UsageError(`--${option} needs a whole number ${range}, not "${text}".`)
  }
}

/**
 * @param takesRest what stands behind `--` is kept apart; else it is words, whatever it begins with
 * @throws UsageError that names the nearest option
 */
export function readArguments(args: readonly string[], specs: OptionSpecs, takesRest: boolean = false): Given {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short }]) => [name, { type, ...(short === undefined ? {} : { short }) }]),
  )
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const values = new Map<string, string | true>()
  const words: string[] = []
  let rest: string[] | undefined
  for (const token of tokens) {
    if (token.kind === 'option-terminator') rest = args.slice(token.index + 1)
    else if (rest !== undefined) continue
    else if (token.kind === 'positional') words.push(token.value)
    else values.set(token.name, valueOf(token, specs))
  }
  return takesRest ? new Given(values, words, rest) : new Given(values, [...words, ...(rest ?? [])], undefined)
}

function valueOf(
  { name, rawName, value }: { readonly name: string; readonly rawName: string; readonly value: string | undefined },
  specs: OptionSpecs,
): string | true {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined
  if (spec === undefined) {
    const near = nearest(name, Object.keys(specs))
    throw new UsageError(`There is no option ${rawName}${near === undefined ? '' : `; did you mean --${near}?`}`)
  }
  if (spec.type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value.`)
    return true
  }
  if (value === undefined) throw new UsageError(`${rawName} needs a value: ${rawName} ${spec.value ?? 'VALUE'}.`)
  return value
}
