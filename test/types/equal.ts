/*
 * Compile-time tests: `tsc -b` is what runs them. A wrong line fails as "false is not true", or as an unused
 * `@ts-expect-error`.
 */

export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** `same<Equal<typeof x, number>>()` */
export declare function same<_ extends true>(): void

/** What a promise, or a stream, comes to. */
export type Settled<F extends (...args: never[]) => unknown> = Awaited<ReturnType<F>>
