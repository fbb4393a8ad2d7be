/** Which reports the page shows, under which questions, and what may be computed from their days. */
import type { Grain } from './periods.ts';

/**
 * How a range is summarised. sum: the figures count things that happen on one day, so days add up. last: the figures are a state
 * or a rate, whose days do not add up; the last day is compared with the last day of the period before. share: two figures that
 * add up, divided. `noun` follows the figure in a sentence.
 */
export type Summary =
  | { readonly kind: 'sum' | 'last'; readonly column: string; readonly noun: string }
  | { readonly kind: 'share'; readonly column: string; readonly of: string; readonly noun: string };

export interface ChartPlan {
  readonly report: string;
  readonly summary: Summary;
  /** What is drawn instead of the chart of the report's header. */
  readonly drawing?: Drawing;
  /** The note below the chart begins with it. */
  readonly caution?: string;
}

/** A second chart of a report has a name and words of its own. */
interface Drawing {
  readonly kind: 'ages' | 'campaigns';
  readonly id: string;
  readonly title?: string;
  readonly unit: (grain: Grain) => string;
}

/** The name of a chart in the page. */
export const idOf = ({ report, drawing }: ChartPlan): string => drawing?.id ?? report;

export interface Section {
  readonly id: string;
  readonly question: string;
  readonly charts: readonly ChartPlan[];
}

const sum = (column: string, noun: string): Summary => ({ kind: 'sum', column, noun });
const last = (column: string, noun: string): Summary => ({ kind: 'last', column, noun });
const share = (column: string, of: string, noun: string): Summary => ({ kind: 'share', column, of, noun });

export const SECTIONS: readonly Section[] = [
  {
    id: 'wallets',
    question: 'How many passes are in wallets, and how is that changing?',
    charts: [
      { report: 'platform_split', summary: last('active_units', 'passes are on a platform') },
      { report: 'net_growth', summary: sum('net_growth', 'passes on a platform were gained') },
    ],
  },
  {
    id: 'installing',
    question: 'Are people installing?',
    charts: [
      { report: 'passes_created', summary: last('passes_created', 'passes were created') },
      { report: 'installation_rate', summary: last('installation_rate', 'of the passes created were installed') },
      { report: 'installs', summary: sum('installs', 'installs were counted') },
      { report: 'gross_installs', summary: sum('uninstalls', 'removals were counted') },
    ],
  },
  {
    id: 'sources',
    question: 'Where do they come from?',
    charts: [{ report: 'attribution', summary: sum('first_installs', 'first installs were counted') }],
  },
  {
    id: 'staying',
    question: 'Do they stay?',
    charts: [
      {
        report: 'survival',
        summary: share('alive_d7', 'cohort', 'of the passes first installed were active 7 days later'),
        drawing: {
          kind: 'ages',
          id: 'survival_by_age',
          title: 'Survival by age',
          unit: () => 'share of passes, by age in days',
        },
        caution: 'Each age counts the passes that have reached it.',
      },
      { report: 'survival', summary: last('survival_d7', 'of the passes first installed were active 7 days later') },
      { report: 'churn', summary: last('churn_rate', 'of the active passes left') },
      { report: 'retention', summary: last('retention', 'of the passes ever installed are active') },
      { report: 'wallet_status', summary: last('passes_in_status', 'passes are known') },
    ],
  },
  {
    id: 'using',
    question: 'Do they use it?',
    charts: [
      { report: 'scans', summary: sum('scans', 'scans were counted') },
      { report: 'notifications', summary: sum('notifications', 'notifications were sent') },
      {
        report: 'campaigns',
        summary: sum('notifications', 'notifications were sent by all campaigns'),
        drawing: {
          kind: 'campaigns',
          id: 'campaigns',
          unit: (grain) => `share of the notified passes, newest ${grain} with 7 whole days after it`,
        },
        caution: 'What follows a notification is not caused by it. Compare campaigns with each other.',
      },
    ],
  },
  {
    id: 'health',
    question: 'Is the service healthy?',
    charts: [
      { report: 'api_error_rate', summary: share('errors', 'requests', 'of the API requests failed') },
      { report: 'log_errors', summary: share('errors', 'entries', 'of the log entries are errors') },
    ],
  },
];

export interface Headline {
  readonly label: string;
  readonly report: string;
  readonly summary: Summary;
  /** A rise is bad news. */
  readonly isBad?: boolean;
}

export const HEADLINES: readonly Headline[] = [
  { label: 'Passes in wallets', report: 'active_passes', summary: last('active_passes', 'passes') },
  { label: 'Installs', report: 'gross_installs', summary: sum('installs', 'installs') },
  { label: 'Removals', report: 'gross_installs', summary: sum('uninstalls', 'removals'), isBad: true },
  { label: 'Net growth', report: 'net_growth', summary: sum('net_growth', 'passes on a platform') },
  { label: 'Scans', report: 'scans', summary: sum('scans', 'scans') },
];

/** The chart that a report's header describes: `line x=period y=scans,scanning_passes series=platform`. */
export interface ChartForm {
  readonly kind: 'line' | 'area' | 'bar';
  readonly x: string;
  readonly y: readonly string[];
  readonly series: string | undefined;
}

export function chartForm(text: { readonly chart?: string | undefined } | undefined): ChartForm {
  const chart = text?.chart ?? '';
  const [kind = '', ...settings] = chart.split(/\s+/);
  const values = new Map(settings.map((text) => [text.split('=')[0], text.split('=')[1] ?? '']));
  return {
    kind: kind === 'area' || kind === 'bar' ? kind : 'line',
    x: values.get('x') ?? 'period',
    y: (values.get('y') ?? '').split(',').filter((name) => name !== ''),
    series: values.get('series'),
  };
}
