export const call = undefined as never
