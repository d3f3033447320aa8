/** What the sides of the case `sqlite` share. */
export const TABLE = 'create table note(id integer primary key, text text not null) strict'
export const INSERT = 'insert into note(text) values (?)'
export const TEXT: string = 'x'.repeat(64)

export type Durability = 'normal' | 'full'

export interface Writing {
  readonly writes: number
  /** The longest that one write took, in milliseconds. */
  readonly worstMs: number
  /** Writes that ended with SQLITE_BUSY. */
  readonly busy: number
}
