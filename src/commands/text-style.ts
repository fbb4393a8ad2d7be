/** The flags of `query`, `sql` and `export` that say how CSV and times are written. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { PLAIN_CSV } from '../query/export/csv.ts';
import type { CsvStyle } from '../query/export/csv.ts';
import { isZone } from '../query/report.ts';
import { didYouMeanZone } from '../kernel/zone.ts';
import type { Report } from '../query/report.ts';

export interface TextFlags {
  readonly separator?: string;
  readonly decimal?: '.' | ',';
  readonly excel?: boolean;
  readonly verbatim?: boolean;
  readonly zone?: string;
}

export interface TextStyle {
  readonly csv: CsvStyle;
  /** Instants become local times of this zone. */
  readonly zone?: string;
  /** The flags that only a CSV can follow. */
  readonly csvOnly: readonly string[];
}

const SEPARATORS: Readonly<Record<string, string>> = {
  ',': ',',
  ';': ';',
  '|': '|',
  tab: '\t',
  '\t': '\t',
  '\\t': '\t',
};

export function withTextFlags(command: Command): Command {
  return command
    .option('--separator <character>', 'between the columns of a CSV: , ; | or tab (default: ,)')
    .addOption(new Option('--decimal <mark>', 'decimal mark of a CSV (default: .)').choices(['.', ',']))
    .option('--excel', 'CSV for Excel: a byte order mark, ids that look like numbers or dates stay text')
    .option('--verbatim', 'do not escape text that a spreadsheet would run as a formula')
    .option('--zone <zone>', 'write instants as local times of this time zone, such as Europe/Paris');
}

/** Throws ConfigError for a value that cannot be used. */
export function textStyleOf({
  separator = ',',
  decimal = '.',
  excel = false,
  verbatim = false,
  zone,
}: TextFlags): TextStyle {
  const character = SEPARATORS[separator.toLowerCase()];
  if (character === undefined)
    throw new ConfigError(`A CSV cannot be separated by "${separator}".`, {
      hint: 'Write --separator with one of "," ";" "|" and tab.',
      where: { flag: '--separator' },
    });
  if (zone !== undefined && !isZone(zone))
    throw new ConfigError(`There is no time zone "${zone}".`, {
      hint: `${didYouMeanZone(zone)}Write a name such as UTC or Europe/Paris.`,
      where: { flag: '--zone' },
    });
  const csv = { separator: character, decimal, excel, verbatim };
  const csvOnly = [
    ...(character === PLAIN_CSV.separator ? [] : ['--separator']),
    ...(decimal === PLAIN_CSV.decimal ? [] : ['--decimal']),
    ...(excel ? ['--excel'] : []),
  ];
  return { csv, csvOnly, ...(zone === undefined ? {} : { zone }) };
}

/** Throws ConfigError for a flag that the format cannot follow. A workbook is for Excel anyway. */
export function requireCsv({ csvOnly }: TextStyle, format: string): void {
  const [flag] = csvOnly.filter((name) => !(name === '--excel' && format === 'xlsx'));
  if (format === 'csv' || flag === undefined) return;
  throw new ConfigError(`${flag} applies to CSV only, not to ${format}.`, {
    hint: `Omit ${flag}, or add --format csv.`,
    where: { flag },
  });
}

/** A report starts its periods in the zone of --zone, unless --param names another. */
export function zoneWords({ parameters }: Report, zone: string | undefined): string[] {
  return zone !== undefined && parameters.some(({ name }) => name === 'zone') ? [`zone=${zone}`] : [];
}

/** A workbook has no offsets, so its times are those of the zone that the report was asked for. */
export function localZone(
  zone: string | undefined,
  values: Readonly<Record<string, string | null>>,
  format: string,
): string | undefined {
  return zone ?? (format === 'xlsx' ? (values['zone'] ?? undefined) : undefined);
}
