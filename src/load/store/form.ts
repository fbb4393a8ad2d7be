/** The rules that a file was written with, and rows of older files as they would be written today. */
import { privacyKey } from '../../model/privacy.ts';
import { promotionKey } from '../../model/promoted.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import { privateJsonSql } from '../../transform/privacy.ts';
import { promotedSql } from '../../transform/promote.ts';
import { asOptional, asText } from '../ledger/cells.ts';
import { storedDigestSql } from '../ledger/sql.ts';

export interface Form {
  /** The set of promoted columns; undefined = none. */
  readonly promotion: string | undefined;
  /** The privacy rules; undefined = none. */
  readonly privacy: string | undefined;
  /** Version of the digests in the file's digest column; undefined = it has no such column. */
  readonly digests: string | undefined;
}

/** Keys of the Parquet metadata that record the form, so that `repair` can restore it to the ledger. */
export const FORM_METADATA = {
  promotion: 'insights.promotion',
  privacy: 'insights.privacy',
  digests: 'insights.digests',
} as const;

/** Changes when a digest is computed in another way. */
const DIGESTS = '1';

export function todaysForm(table: Table): Form {
  return { promotion: promotionKey(table.promoted), privacy: privacyKey(table.privacy), digests: DIGESTS };
}

/** Reads the form of a row of `partitions`. */
export const FORM_SHAPE = {
  promotion: asOptional(asText),
  privacy: asOptional(asText),
  digests: asOptional(asText),
} as const;

/** `key: 'text'` pairs of Parquet metadata. */
export function metadataSql({ promotion, privacy, digests }: Form): string {
  const pairs = [
    [FORM_METADATA.promotion, promotion],
    [FORM_METADATA.privacy, privacy],
    [FORM_METADATA.digests, digests],
  ] as const;
  return pairs.flatMap(([key, value]) => (value === undefined ? [] : [`'${key}': ${sqlText(value)}`])).join(', ');
}

/** True for a partition that was written with other privacy rules than today's. */
export function otherPrivacySql(table: Table): string {
  const today = privacyKey(table.privacy);
  return today === undefined ? 'privacy is not null' : `privacy is distinct from ${sqlText(today)}`;
}

/**
 * `from …` of rows of existing files, converted to today's form unless the files already have it. Either all of them have digests
 * or none has.
 */
export function heldRows(table: Table, from: string, forms: readonly Form[]): string {
  const today = todaysForm(table);
  const isPrivate = forms.every(({ privacy }) => privacy === today.privacy);
  if (forms.some(({ digests }) => digests === undefined))
    from = `from (select *, ${storedDigestSql({ digests: undefined })} as ${sqlName(DIGEST_COLUMN)} ${from})`;
  if (isPrivate && forms.every(({ promotion }) => promotion === today.promotion)) return from;
  if (isPrivate || table.privacy.length === 0) return `from (${promotedSql(table, from, [DIGEST_COLUMN])})`;
  const type = `"${lakeName(table, table.typeColumn)}"`;
  const properties = privateJsonSql({ rules: table.privacy, json: '"properties"::json', type, stored: true });
  return `from (${promotedSql(table, `from (select * replace (${properties} as "properties") ${from})`, [DIGEST_COLUMN])})`;
}
