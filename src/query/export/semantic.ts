/**
 * A semantic model of the KPIs for MetricFlow (https://docs.getdbt.com/docs/build/about-metricflow), in a dbt project that has the
 * sources of `dbt.ts`. Metrics are defined on events and changes of state, not on marts: so they can be computed for any period
 * and dimension, also where days do not add up. Their words are those of the reports that compute the same figures.
 */
import type { ColumnWords } from '../column-words.ts';
import type { Report } from '../report.ts';
import { PROJECT, described, yamlText } from './dbt.ts';
import type { FolderFiles } from './folder.ts';

interface Measure {
  /** Also the name of the metric. */
  readonly name: string;
  readonly agg: 'sum' | 'count_distinct';
  readonly expr: string;
  /** The column of a mart with the same figure, or else a description. */
  readonly words: readonly [mart: string, figure: string] | string;
  /** True for a state: its value at the end of a period is the sum of all changes up to then. */
  readonly isState?: boolean;
}

interface Model {
  readonly name: string;
  readonly description: string;
  /** The table or view that it reads, and its column of time. */
  readonly from: string;
  readonly at: string;
  /** Texts that belong to the row itself. What belongs to a pass comes from the model of passes. */
  readonly dimensions: readonly string[];
  readonly hasPass: boolean;
  readonly measures: readonly Measure[];
}

/** A metric that is computed from other metrics. */
interface Rate {
  readonly name: string;
  readonly words: Measure['words'];
  readonly expr: string;
  readonly metrics: readonly string[];
}

const PASS = "tenant_id || '/' || pass_id";
const when = (condition: string): string => `case when ${condition} then 1 else 0 end`;

function sum(name: string, expr: string, words: Measure['words']): Measure {
  return { name, agg: 'sum', expr, words };
}

function passes(name: string, condition: string, words: Measure['words']): Measure {
  return { name, agg: 'count_distinct', expr: `case when ${condition} then ${PASS} end`, words };
}

function state(name: string, expr: string, words: Measure['words']): Measure {
  return { name, agg: 'sum', expr, words, isState: true };
}

const MODELS: readonly Model[] = [
  {
    name: 'pass_events',
    description: 'Events that name a pass, each event id once',
    from: 'pass_events',
    at: 'timestamp',
    dimensions: [],
    hasPass: true,
    measures: [
      passes('passes_created', "kind = 'created'", ['passes_created', 'passes_created']),
      passes('passes_installed', "kind = 'installed'", ['installation_rate_period', 'installed']),
      passes('scanning_passes', "kind = 'scanned'", ['scans', 'scanning_passes']),
      sum('scans', when("kind = 'scanned'"), ['scans', 'scans']),
    ],
  },
  {
    name: 'registrations',
    description: 'Installations and removals, each event id once',
    from: 'registrations',
    at: 'timestamp',
    dimensions: ['platform', 'medium', 'origin_host'],
    hasPass: true,
    measures: [
      sum('installs', when("kind = 'installed'"), ['gross_installs', 'installs']),
      sum('uninstalls', when("kind = 'uninstalled'"), ['gross_installs', 'uninstalls']),
      sum('first_installs', when("kind = 'installed' and is_first"), ['first_installs', 'first_installs']),
      sum('first_uninstalls', when("kind = 'uninstalled' and is_first"), ['first_installs', 'first_uninstalls']),
    ],
  },
  {
    name: 'unit_states',
    description: 'Changes of state of units (a pass on a platform)',
    from: 'pass_states',
    at: 'changed_at',
    dimensions: ['platform'],
    hasPass: true,
    measures: [
      sum('units_installed', when("change = 'installed'"), ['net_growth', 'installed']),
      sum('units_reinstalled', when("change = 'reinstalled'"), ['net_growth', 'reinstalled']),
      sum('units_removed', when("change = 'removed'"), ['net_growth', 'removed']),
      sum('net_growth', 'unit_delta', ['net_growth', 'net_growth']),
      state('active_units', 'unit_delta', ['active_passes', 'active_units']),
    ],
  },
  {
    // Without platform: a pass on two platforms that leaves one of them stays active.
    name: 'pass_states',
    description: 'Changes of state of passes, whatever the platform',
    from: 'pass_states',
    at: 'changed_at',
    dimensions: [],
    hasPass: true,
    measures: [
      state('active_passes', 'pass_delta', ['active_passes', 'active_passes']),
      state('ever_installed', when('is_first_of_pass'), ['retention', 'ever_installed']),
      passes('churned_passes', 'pass_delta = -1', ['churn', 'churned_passes']),
      sum('pass_growth', 'pass_delta', 'Active passes at the end of the period less those at its start'),
    ],
  },
  {
    name: 'event_facts',
    description: 'All events',
    from: 'event_facts',
    at: 'timestamp',
    dimensions: ['event_type', 'store_id', 'campaign'],
    hasPass: true,
    measures: [
      sum('notifications', when("kind = 'notified'"), ['notifications', 'notifications']),
      passes('notified_passes', "kind = 'notified'", ['notifications', 'notified_passes']),
      sum('page_views', when("kind = 'viewed'"), ['view_to_install', 'page_views']),
      sum('redirects', when("kind = 'redirected'"), ['redirect_to_install', 'redirects']),
      sum('api_requests', when("kind = 'requested'"), ['api_error_rate', 'requests']),
      sum('api_errors', when("kind = 'requested' and status_code >= 400"), ['api_error_rate', 'errors']),
    ],
  },
  {
    name: 'logs',
    description: 'Log entries',
    from: 'logs',
    at: 'timestamp',
    dimensions: ['event_type'],
    hasPass: false,
    measures: [
      sum('log_entries', '1', ['log_errors', 'entries']),
      sum(
        'log_errors',
        when(
          "regexp_matches(lower(event_type), '(^|[^a-z])(error|critical|fatal)([^a-z]|$)') or lower(severity) in ('error', 'critical', 'fatal')",
        ),
        ['log_errors', 'errors'],
      ),
    ],
  },
  {
    name: 'coverage',
    description: 'Hours of each table and whether they are proven equal to the source',
    from: 'coverage',
    at: 'hour',
    dimensions: ['table_name', 'state'],
    hasPass: false,
    measures: [
      sum('known_hours', '1', 'Hours that were compared with the source, once for each table'),
      sum('verified_hours', when("state = 'verified'"), 'Those of the known hours that are proven equal to the source'),
    ],
  },
];

const ratio = (name: string, numerator: string, denominator: string, words: Measure['words']): Rate => ({
  name,
  words,
  expr: `${numerator} / nullif(${denominator}, 0)`,
  metrics: [numerator, denominator],
});

const RATES: readonly Rate[] = [
  ratio('installed_per_created', 'passes_installed', 'passes_created', [
    'installation_rate_period',
    'installed_per_created',
  ]),
  ratio('scan_rate', 'scanning_passes', 'active_passes', ['scans', 'scan_rate']),
  ratio('retention', 'active_passes', 'ever_installed', ['retention', 'retention']),
  {
    name: 'churn_rate',
    words: ['churn', 'churn_rate'],
    expr: 'churned_passes / nullif(active_passes - pass_growth, 0)',
    metrics: ['churned_passes', 'active_passes', 'pass_growth'],
  },
  ratio('installs_per_view', 'installs', 'page_views', ['view_to_install', 'installs_per_view']),
  ratio('installs_per_redirect', 'installs', 'redirects', ['redirect_to_install', 'installs_per_redirect']),
  ratio('api_error_rate', 'api_errors', 'api_requests', ['api_error_rate', 'error_rate']),
  ratio('log_error_share', 'log_errors', 'log_entries', ['log_errors', 'error_share']),
  ratio(
    'verified_share',
    'verified_hours',
    'known_hours',
    'Share of the known hours that are proven equal to the source',
  ),
];

const PASS_DIMENSIONS = ['pass_type', 'store_id', 'medium', 'wallet_status', 'customer_id'];

/** `words`: of the columns of marts. `reports`: for their caveats. */
export function semanticFiles(words: ColumnWords, reports: readonly Report[]): FolderFiles {
  const folder = `models/${PROJECT}_semantic`;
  const models = MODELS.map(
    (model) => [`${folder}/${modelName(model.name)}.sql`, modelSql(model.from, model.at)] as const,
  );
  const metrics = [
    ...MODELS.flatMap(({ measures }) => measures.map((measure) => metricOf(measure, words, reports))),
    ...RATES.map((rate) => ({
      ...metricText(rate, words, reports),
      type: 'derived',
      type_params: { expr: rate.expr, metrics: rate.metrics },
    })),
  ];
  return new Map([
    ...models,
    [`${folder}/${modelName('passes')}.sql`, modelSql('passes', 'first_seen_at')],
    [`${folder}/${PROJECT}_days.sql`, DAYS],
    [
      `${folder}/semantic_models.yml`,
      yamlText({ version: 2, models: [DAYS_MODEL], semantic_models: [...MODELS.map(semanticModel), PASSES_MODEL] }),
    ],
    [`${folder}/metrics.yml`, yamlText({ version: 2, metrics })],
  ]);
}

function modelName(name: string): string {
  return `${PROJECT}_${name}`;
}

function modelSql(from: string, at: string): string {
  return `select *, ${at} at time zone 'UTC' as occurred_at\nfrom {{ source('${PROJECT}', '${from}') }}\n`;
}

/** The days that the lake covers: MetricFlow joins states with them, and a state has no value on other days. */
const DAYS = `select unnest(generate_series(
  min(hour at time zone 'UTC')::date::timestamp,
  max(hour at time zone 'UTC')::date::timestamp,
  interval 1 day
))::date as date_day
from {{ source('${PROJECT}', 'coverage') }}
`;

const DAYS_MODEL = {
  name: `${PROJECT}_days`,
  description: 'One row per UTC day',
  time_spine: { standard_granularity_column: 'date_day' },
  columns: [{ name: 'date_day', granularity: 'day' }],
};

const TIME = { name: 'occurred_at', type: 'time', type_params: { time_granularity: 'day' } };
const text = (name: string): object => ({ name, type: 'categorical' });
const TENANT = { name: 'tenant', type: 'foreign', expr: 'tenant_id' };

function semanticModel({ name, description, dimensions, hasPass, measures }: Model): object {
  return {
    name,
    description,
    model: `ref('${modelName(name)}')`,
    primary_entity: `${name}_row`,
    defaults: { agg_time_dimension: 'occurred_at' },
    entities: [TENANT, ...(hasPass ? [{ name: 'pass', type: 'foreign', expr: PASS }] : [])],
    dimensions: [TIME, ...dimensions.map(text)],
    measures: measures.map(({ name: measure, agg, expr }) => ({ name: measure, agg, expr })),
  };
}

const PASSES_MODEL = {
  name: 'passes',
  description: 'Every pass that any event names; its dimensions describe the events of other models',
  model: `ref('${modelName('passes')}')`,
  defaults: { agg_time_dimension: 'occurred_at' },
  entities: [{ name: 'pass', type: 'primary', expr: PASS }, TENANT],
  dimensions: [TIME, ...PASS_DIMENSIONS.map(text)],
};

function metricOf(measure: Measure, words: ColumnWords, reports: readonly Report[]): object {
  const { name, isState = false } = measure;
  const params = isState
    ? { measure: { name, fill_nulls_with: 0 }, cumulative_type_params: { period_agg: 'last' } }
    : { measure: { name, fill_nulls_with: 0, join_to_timespine: false } };
  return { ...metricText(measure, words, reports), type: isState ? 'cumulative' : 'simple', type_params: params };
}

function metricText({ name, words: own }: Measure | Rate, words: ColumnWords, reports: readonly Report[]): object {
  const label = `${name[0]?.toUpperCase() ?? ''}${name.slice(1).replaceAll('_', ' ')}`;
  if (typeof own === 'string') return { name, label, description: own };
  const [report, figure] = own;
  const caveats = reports.find((candidate) => candidate.name === report)?.caveats ?? [];
  const meaning = words.of(`mart_${report}`, figure) ?? label;
  const description = [`${meaning}. Report ${report}, figure ${figure}.`, ...caveats].join(' ');
  return { name, label, description: described(description) };
}
