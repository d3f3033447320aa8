import { ConclaveError } from '../../../errors/index.ts'
import { MAX_FACTS } from './limits.ts'

export interface Fact {
  readonly id: string
  readonly content: string
  readonly level: number
  readonly domain?: string | undefined
  readonly module?: string | undefined
  readonly isGene: boolean
  /** Where it is from; of what another peer sent it begins with `swarm:`. */
  readonly source: string
  /** RFC 3339. */
  readonly createdAt: string
}

/** What a swarm keeps its facts in. */
export interface FactStore {
  facts(): readonly Fact[] | Promise<readonly Fact[]>
  /** Takes the ones whose id is new. @returns how many those were */
  merge(facts: readonly Fact[]): number | Promise<number>
}

/** In memory, up to 100,000. */
export class MemoryFactStore implements FactStore {
  readonly #facts = new Map<string, Fact>()
  readonly #maxFacts: number

  constructor(facts: Iterable<Fact> = [], options: { readonly maxFacts?: number } = {}) {
    this.#maxFacts = options.maxFacts ?? MAX_FACTS
    this.merge([...facts])
  }

  get size(): number {
    return this.#facts.size
  }

  facts(): readonly Fact[] {
    return [...this.#facts.values()]
  }

  merge(facts: readonly Fact[]): number {
    const before = this.#facts.size
    for (const fact of facts) {
      if (!this.#facts.has(fact.id) && this.#facts.size < this.#maxFacts) this.#facts.set(fact.id, fact)
    }
    return this.#facts.size - before
  }
}

/** In the order the existing peers write them. */
export function factToWire(fact: Fact): Record<string, unknown> {
  const { id, content, level, domain, module, isGene, source, createdAt } = fact
  return {
    id,
    content,
    level,
    ...(domain === undefined || domain === '' ? {} : { domain }),
    ...(module === undefined || module === '' ? {} : { module }),
    is_gene: isGene,
    source,
    created_at: createdAt,
  }
}

/** @throws `PROTOCOL` */
export function factFromWire(value: unknown): Fact {
  const wire = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>
  const { id, content, level, domain, module, is_gene: isGene = false, source = '', created_at: createdAt = '' } = wire
  const text = (one: unknown): boolean => one === undefined || typeof one === 'string'
  const fits =
    typeof id === 'string' &&
    id !== '' &&
    typeof content === 'string' &&
    typeof (level ?? 0) === 'number' &&
    typeof isGene === 'boolean' &&
    [domain, module, source, createdAt].every(text)
  if (!fits) throw new ConclaveError('PROTOCOL', 'A fact lacks its id or content, or has a field of a wrong type.')
  return {
    id,
    content,
    level: (level ?? 0) as number,
    ...(domain === undefined ? {} : { domain: domain as string }),
    ...(module === undefined ? {} : { module: module as string }),
    isGene,
    source: source as string,
    createdAt: createdAt as string,
  }
}
