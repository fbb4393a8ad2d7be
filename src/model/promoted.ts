/**
 * Promoted columns: values of `properties` that reports use, as typed columns next to the JSON text, because extracting a key
 * from JSON is the expensive part of a query. This is the default set; `promote` in the configuration adds to it. The vendor
 * documents no paths for this API, so each column tries the paths that the vendor's other channels use, and the first that
 * exists counts.
 */
import { createHash } from 'node:crypto';
import { parseJsonPath, spellJsonPath } from '../kernel/json-path.ts';

export const PROMOTED_TYPES = ['text', 'integer', 'number', 'boolean', 'timestamp', 'list', 'host'] as const;
/** `list`: a list of texts; a single text is a list of one. `host`: the host of a URL, lower-case. */
export type PromotedType = (typeof PROMOTED_TYPES)[number];

export interface PromotedColumn {
  readonly name: string;
  readonly type: PromotedType;
  /** Candidate paths (`json-path.ts`), without patterns; the first with a value counts. */
  readonly paths: readonly string[];
  readonly comment: string;
}

const PASS_TYPE: PromotedColumn = {
  name: 'pass_type',
  type: 'text',
  paths: ['passType', 'pass.type', 'pass_type'],
  comment: 'Template id of the pass',
};

export const DEFAULT_PROMOTED = {
  Logs: [
    {
      name: 'severity',
      type: 'text',
      paths: ['severity', 'level'],
      comment: 'Severity or level, as the source spells it',
    },
  ],
  Events: [
    { name: 'pass_id', type: 'text', paths: ['passId', 'pass.id', 'pass_id'], comment: 'The pass that it is about' },
    PASS_TYPE,
    {
      name: 'device',
      type: 'text',
      paths: ['device', 'registrationInformation.device', 'registrationSource.device', 'pass.device'],
      comment: 'apple or google, as the source spells it',
    },
    {
      name: 'active_registrations',
      type: 'integer',
      paths: [
        'registrationInformation.activeRegistrationCount',
        'activeRegistrationCount',
        'active_registration_count',
      ],
      comment: 'Devices that hold the pass after this event',
    },
    {
      name: 'medium',
      type: 'text',
      paths: ['registrationSource.medium', 'source.medium', 'medium'],
      comment: 'Channel of an installation',
    },
    {
      name: 'origin_host',
      type: 'host',
      paths: ['registrationSource.origin', 'source.origin', 'origin'],
      comment: 'Host of the page that an installation came from',
    },
    {
      name: 'tags',
      type: 'list',
      paths: ['registrationSource.tags', 'source.tags', 'tags'],
      comment: 'Tags of an installation, utm_source and utm_campaign among them',
    },
    {
      name: 'store_id',
      type: 'text',
      paths: ['storeId', 'metadata.storeId', 'store.id', 'store_id'],
      comment: 'Store that it is attributed to',
    },
    {
      name: 'redirect_id',
      type: 'text',
      paths: ['redirectId', 'redirect.id', 'redirect_id'],
      comment: 'Short link or QR code that was followed',
    },
    {
      name: 'customer_id',
      type: 'text',
      paths: ['customerId', 'identifiers.customerId', 'customer.id', 'customer_id', 'identifiers.customer_id'],
      comment: 'The customer that it is about, or the owner of its pass',
    },
    {
      name: 'campaign',
      type: 'text',
      // Those inside an object first, because `campaign` would be the whole object.
      paths: ['campaign.id', 'campaign.name', 'campaign', 'campaignId', 'campaign_id'],
      comment: 'Campaign of a notification',
    },
    {
      name: 'status_code',
      type: 'integer',
      paths: ['statusCode', 'response.statusCode', 'status_code'],
      comment: 'HTTP status of an API request',
    },
  ],
  Metrics: [PASS_TYPE],
} as const satisfies Readonly<Record<string, readonly PromotedColumn[]>>;

/** The default set with configured columns: a column with a default name replaces it, others follow in order of their names. */
export function withPromoted(
  defaults: readonly PromotedColumn[],
  own: readonly PromotedColumn[],
): readonly PromotedColumn[] {
  const names = new Set(defaults.map(({ name }) => name));
  const kept = defaults.map((column) => {
    const replacement = own.find(({ name }) => name === column.name);
    return replacement ? { ...replacement, comment: replacement.comment || column.comment } : column;
  });
  const others = own.filter(({ name }) => !names.has(name));
  return [...kept, ...others.toSorted((a, b) => (a.name < b.name ? -1 : 1))];
}

/**
 * A digest of a table's set of promoted columns, kept with each file to tell which columns it holds. It depends on names, types
 * and paths; two spellings of a path count as one. The keys of the default sets must not change: with another key every lake
 * would have to be rebuilt.
 */
export function promotionKey(columns: readonly PromotedColumn[]): string {
  const rules = columns.map(({ name, type, paths }) => [name, type, [...new Set(paths.map(normalizedPath))]]);
  return createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, 16);
}

function normalizedPath(path: string): string {
  const segments = parseJsonPath(path);
  return segments === undefined ? path : spellJsonPath(segments);
}
