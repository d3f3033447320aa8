/** Limits of the gob codec, held before anything is allocated. All are fields of `GobLimits`. */

/** Longest stream that is read or written. */
export const MAX_GOB_BYTES: number = 16 * 1024 * 1024
/** Deepest nesting of values. */
export const MAX_GOB_DEPTH = 128
/** Elements, map entries, fields and zero values of one stream: what bounds the memory that a few bytes can claim. */
export const MAX_GOB_ELEMENTS: number = 1024 * 1024
/** Types that one stream defines. */
export const MAX_GOB_TYPES = 1_024

export interface GobLimits {
  /** Default `MAX_GOB_BYTES`. */
  readonly maxBytes?: number | undefined
  /** Default `MAX_GOB_DEPTH`. */
  readonly maxDepth?: number | undefined
  /** Default `MAX_GOB_ELEMENTS`. */
  readonly maxElements?: number | undefined
  /** Default `MAX_GOB_TYPES`. */
  readonly maxTypes?: number | undefined
}
