import type { DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'
import { ConclaveError } from '../../errors/index.ts'

type Library = typeof import('@bufbuild/protobuf')

/** Messages as JSON and back, by the types of a compiled .proto. */
export class Types {
  readonly #library: Library
  readonly #registry: Registry

  private constructor(library: Library, registry: Registry) {
    this.#library = library
    this.#registry = registry
  }

  /** @param descriptorSet a FileDescriptorSet: `buf build -o`, `protoc --descriptor_set_out --include_imports` */
  static async read(descriptorSet: Uint8Array): Promise<Types> {
    const library = await import('@bufbuild/protobuf')
    const { FileDescriptorSetSchema } = await import('@bufbuild/protobuf/wkt')
    try {
      const set = library.fromBinary(FileDescriptorSetSchema, descriptorSet)
      return new Types(library, library.createFileRegistry(set))
    } catch (cause) {
      throw new ConclaveError('INVALID_OPTION', 'That is no compiled set of .proto files.', { cause })
    }
  }

  encode(type: string, json: unknown): Uint8Array {
    const { fromJson, toBinary } = this.#library
    const desc = this.#find(type)
    try {
      return toBinary(desc, fromJson(desc, json as JsonValue, { registry: this.#registry }))
    } catch (cause) {
      throw new ConclaveError('INVALID_PARAMS', `The JSON does not fit ${type}: ${(cause as Error).message}.`, {
        cause,
      })
    }
  }

  decode(type: string, bytes: Uint8Array): unknown {
    const { fromBinary, toJson } = this.#library
    const desc = this.#find(type)
    try {
      return toJson(desc, fromBinary(desc, bytes), { registry: this.#registry })
    } catch (cause) {
      throw new ConclaveError('INVALID_RESULT', `The bytes are no ${type}: ${(cause as Error).message}.`, { cause })
    }
  }

  #find(type: string): DescMessage {
    const found = this.#registry.getMessage(type)
    if (found !== undefined) return found
    const known = [...this.#registry].filter(({ kind }) => kind === 'message').map(({ typeName }) => typeName)
    throw new ConclaveError('INVALID_OPTION', `There is no message ${type}; there are ${known.join(', ')}.`)
  }
}
