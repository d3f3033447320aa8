/*
 * Standard Schema v1, as far as we use it: what both calls and events describe their values with. Types only.
 */

/** Zod, Valibot and ArkType schemas fit. Who sends passes `In`; who receives gets `Out`. */
export interface Schema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Checked<Out> | Promise<Checked<Out>>
    /** Never there at run time. */
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}

export type Checked<Out> =
  { readonly value: Out; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a sender may pass. */
export type In<S> = S extends Schema<infer I, any> ? I : unknown
/** What a receiver gets. */
export type Out<S> = S extends Schema<any, infer O> ? O : unknown

/** The keys of a section of a contract that are names. */
export type Name<T> = keyof T & string
