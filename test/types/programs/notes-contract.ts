import { z } from 'zod'
import type { Schema } from '../../../src/wire/schema.ts'
import { defineContract } from '../face.ts'

// Written out as isolatedDeclarations asks for it here; a program lets TypeScript infer the same.
export const notes: { readonly methods: { readonly 'note.count': { readonly result: Schema<number> } } } =
  defineContract({ methods: { 'note.count': { result: z.number() } } })
