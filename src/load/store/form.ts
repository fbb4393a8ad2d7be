/** The rules that a file was written with, and rows of older files as they would be written today. */
import { privacyKey } from '../../model/privacy.ts';
import { promotionKey } from '../../model/promoted.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import { privateJsonSql } from '../../transform/privacy.ts';
import { promotedSql } from '../../transform/promote.ts';
import { asOptional, asText } from '../ledger/cells.ts';

export interface Form {
  /** The set of promoted columns; undefined = none. */
  readonly promotion: string | undefined;
  /** The privacy rules; undefined = none. */
  readonly privacy: string | undefined;
}

/** Keys of the Parquet metadata that record the form, so that `repair` can restore it to the ledger. */
export const FORM_METADATA = { promotion: 'insights.promotion', privacy: 'insights.privacy' } as const;

export function todaysForm(table: Table): Form {
  return { promotion: promotionKey(table.promoted), privacy: privacyKey(table.privacy) };
}

/** Reads the form of a row of `partitions`. */
export const FORM_SHAPE = { promotion: asOptional(asText), privacy: asOptional(asText) } as const;

/** `key: 'text'` pairs of Parquet metadata. */
export function metadataSql({ promotion, privacy }: Form): string {
  const pairs = [
    [FORM_METADATA.promotion, promotion],
    [FORM_METADATA.privacy, privacy],
  ] as const;
  return pairs.flatMap(([key, value]) => (value === undefined ? [] : [`'${key}': ${sqlText(value)}`])).join(', ');
}

/** True for a partition that was written with other privacy rules than today's. */
export function otherPrivacySql(table: Table): string {
  const today = privacyKey(table.privacy);
  return today === undefined ? 'privacy is not null' : `privacy is distinct from ${sqlText(today)}`;
}

/** `from …` of rows of existing files, converted to today's form unless the files already have it. */
export function heldRows(table: Table, from: string, forms: readonly Form[]): string {
  const today = todaysForm(table);
  const isPrivate = forms.every(({ privacy }) => privacy === today.privacy);
  if (isPrivate && forms.every(({ promotion }) => promotion === today.promotion)) return from;
  if (isPrivate || table.privacy.length === 0) return `from (${promotedSql(table, from)})`;
  const type = `"${lakeName(table, table.typeColumn)}"`;
  const properties = privateJsonSql({ rules: table.privacy, json: '"properties"', type, stored: true });
  return `from (${promotedSql(table, `from (select * replace (${properties} as "properties") ${from})`)})`;
}
