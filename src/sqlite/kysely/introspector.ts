import { SqliteIntrospector, type DatabaseMetadata, type DatabaseMetadataOptions, type TableMetadata } from 'kysely'

/** Kysely's for SQLite, without the tables of our own (`_conclave_…`) that stand beside the user's. */
export class MemberIntrospector extends SqliteIntrospector {
  override async getTables(options?: DatabaseMetadataOptions): Promise<TableMetadata[]> {
    const tables = await super.getTables(options)
    return tables.filter(({ name }) => !name.startsWith('_conclave_'))
  }

  override async getMetadata(options?: DatabaseMetadataOptions): Promise<DatabaseMetadata> {
    return { tables: await this.getTables(options) }
  }
}
