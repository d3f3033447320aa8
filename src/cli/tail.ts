export const tail = undefined as never
