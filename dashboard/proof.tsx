/** Proof: each table as a calendar of hours, then runs, quarantine, changes of shape and failed checks. */
import type { JSX } from 'preact';
import { Calendar } from './calendar.tsx';
import { saveText } from './download.ts';
import { csvText } from './figures.ts';
import { countKinds, hoursIn, KIND_WORDS, KINDS, kindOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { day, figure, instant, seconds, words } from './locale.ts';
import { addDays } from './manifest.ts';
import type { State } from './state.ts';
import { runsOf } from './runs.ts';
import type { Cell, Hours, Proof, Range, Row } from './types.ts';

interface ProofProps {
  readonly proof: Proof;
  readonly range: Range;
  readonly state: State;
  readonly onChange: (state: State) => void;
}

const TABLES = ['logs', 'events', 'metrics'];
const HOUR = 3_600_000;

export function ProofPage({ proof, range, state, onChange }: ProofProps): JSX.Element {
  const tables = TABLES.flatMap((name) => (proof.tables[name] ? [[name, proof.tables[name]] as const] : []));
  const around = (at: string): void =>
    onChange({ ...state, range: 'custom', from: addDays(at, -3), to: addDays(at, 4) });
  return (
    <>
      <section aria-labelledby="q-proven">
        <h2 id="q-proven">What is proven?</h2>
        <ul class="sentences">
          {tables.map(([name, hours]) => (
            <li key={name}>{tableSentence(name, hours, range)}</li>
          ))}
          <li>{lossSentence(proof)}</li>
        </ul>
        <Key />
        {tables.map(([name, hours]) => (
          <figure class="card" key={name} data-table={name} aria-label={`Hours of ${name}`}>
            <figcaption>
              <div class="titles">
                <h3>{titled(name)}</h3>
                <span class="unit">hours by UTC day</span>
              </div>
              <span class="tools">
                <button
                  type="button"
                  class="small"
                  onClick={() => saveText(hoursCsv(name, hours, proof, range), 'text/csv', `hours_${name}.csv`)}
                >
                  CSV<span class="unseen">{` of the hours of ${name}`}</span>
                </button>
              </span>
            </figcaption>
            <Calendar table={titled(name)} hours={hours} proof={proof} range={range} onDay={around} />
            <KindTable name={name} hours={hours} range={range} />
          </figure>
        ))}
        {tables.length === 0 && <p class="empty">No hour of this tenant is known yet.</p>}
      </section>
      <section aria-labelledby="q-runs">
        <h2 id="q-runs">What did the last runs do?</h2>
        <Runs proof={proof} />
      </section>
      <section aria-labelledby="q-faults">
        <h2 id="q-faults">What needs attention?</h2>
        <Facts
          title="Quarantine"
          empty="No row is in quarantine."
          rows={proof.quarantine}
          columns={['table_name', 'reason', 'rows', 'first', 'last']}
        />
        <Facts
          title="Failed checks"
          empty="No check has failures."
          rows={proof.checks}
          columns={['check_name', 'severity', 'days', 'failures', 'first', 'last']}
        />
        <Facts
          title="Changes in the shape of the data"
          empty="The shape of the data has not changed."
          rows={proof.drift}
          columns={['changed', 'table_name', 'type', 'path', 'change', 'kind']}
        />
      </section>
    </>
  );
}

const titled = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

function tableSentence(name: string, hours: Hours, range: Range): string {
  const found = hoursIn(hours, range);
  const counts = countKinds(hours, found);
  const first = found.findIndex((nth) => nth >= 0);
  if (first < 0)
    return `No hour of ${titled(name)} is known between ${day(range.from)} and ${day(addDays(range.to, -1))}.`;
  const last = found.findLastIndex((nth) => nth >= 0);
  const start = Date.parse(range.from);
  const [from, to] = [first, last].map((nth) => day(new Date(start + nth * HOUR).toISOString()));
  const gaps = found.slice(first, last + 1).filter((nth) => nth < 0).length;
  const all = [...counts.values()].reduce((sum, n) => sum + n, 0);
  const byContent = counts.get('content') ?? 0;
  const rest = [...KINDS].flatMap((kind) =>
    kind !== 'content' && counts.has(kind) ? [`${figure(counts.get(kind) ?? 0)} ${KIND_WORDS[kind]}`] : [],
  );
  if (gaps > 0) rest.unshift(`${figure(gaps)} not read`);
  const subject =
    byContent === all && gaps === 0
      ? `Every hour of ${titled(name)}`
      : `${figure(byContent)} of ${figure(all + gaps)} hours of ${titled(name)}`;
  return `${subject} from ${from} to ${to} ${byContent === 1 || subject.startsWith('Every') ? 'is' : 'are'} proven by content${rest.length > 0 ? `; ${rest.join(', ')}` : ''}.`;
}

function lossSentence({ tables, logsRetentionDays, proofs }: Proof): string {
  const logs = tables['logs'];
  if (logsRetentionDays === null || !logs) return 'The source keeps Logs for as long as it is known.';
  const waiting = logs.hour.filter((_, nth) => ['partial', 'unchecked', 'none'].includes(logs.kind[nth] ?? ''));
  const oldest = Math.min(...waiting);
  if (waiting.length === 0)
    return `No known hour of Logs waits for its proof. The source keeps Logs for ${logsRetentionDays} days.`;
  const now = Math.max(...proofs.map(({ at }) => at), 0);
  const days = (oldest * HOUR + logsRetentionDays * 24 * HOUR - now) / (24 * HOUR);
  return `${figure(waiting.length)} hours of Logs are not proven. The source deletes the oldest of them, ${instant(oldest * HOUR)}, ${days > 0 ? `in ${figure(Math.round(days * 10) / 10)} days` : 'now'}.`;
}

function Key(): JSX.Element {
  return (
    <ul class="key" aria-label="Colours">
      {[...KINDS].reverse().map((kind) => (
        <li key={kind}>
          <span class={`swatch b-${kind}`} aria-hidden="true" />
          {KIND_WORDS[kind]}
        </li>
      ))}
    </ul>
  );
}

function KindTable({ name, hours, range }: { name: string; hours: Hours; range: Range }): JSX.Element {
  const counts = countKinds(hours, hoursIn(hours, range));
  return (
    <details class="behind">
      <summary>{`Hours of ${titled(name)} as a table`}</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">state</th>
            <th scope="col" class="number">
              hours
            </th>
          </tr>
        </thead>
        <tbody>
          {[...counts].map(([kind, n]: [Kind, number]) => (
            <tr key={kind}>
              <td>{KIND_WORDS[kind]}</td>
              <td class="number">{figure(n)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function hoursCsv(name: string, hours: Hours, { proofs, tenant }: Proof, range: Range): string {
  const columns = [
    'tenant_id',
    'table_name',
    'hour',
    'state',
    'source_rows',
    'lake_rows',
    'duplicate_rows',
    'quarantined_rows',
    'verified_at',
    'run',
  ];
  const rows = hoursIn(hours, range).flatMap((nth): Row[] => {
    if (nth < 0) return [];
    const proven = proofs[hours.proof[nth] ?? -1];
    return [
      {
        tenant_id: tenant,
        table_name: name,
        hour: new Date((hours.hour[nth] ?? 0) * HOUR).toISOString(),
        state: kindOf(hours.kind[nth]) ?? '',
        source_rows: hours.source[nth] ?? 0,
        lake_rows: hours.lake[nth] ?? 0,
        duplicate_rows: hours.duplicates[nth] ?? 0,
        quarantined_rows: hours.quarantined[nth] ?? 0,
        verified_at: proven ? new Date(proven.at).toISOString() : null,
        run: proven?.run ?? null,
      },
    ];
  });
  return csvText({ columns, rows });
}

function Runs({ proof }: { proof: Proof }): JSX.Element {
  const runs = runsOf(proof.runs);
  if (runs.length === 0) return <p class="empty">No run has published yet.</p>;
  return (
    <Scroll title="Runs">
      <table>
        <thead>
          <tr>
            {['started', 'run', 'outcome'].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            {['took', 'calls', 'waited', 'fetched', 'new', 'changed', 'removed'].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.run} class={run.isOk ? '' : 'failed'}>
              <td>{instant(run.started)}</td>
              <td>{run.run}</td>
              <td>{run.isOk ? run.outcome : `✕ ${run.outcome}`}</td>
              <td class="number">{run.took === null ? '–' : seconds(run.took)}</td>
              <td class="number">{figure(run.calls)}</td>
              <td class="number">{seconds(run.waited)}</td>
              <td class="number">{figure(run.fetched)}</td>
              <td class="number">{figure(run.inserted)}</td>
              <td class="number">{figure(run.replaced)}</td>
              <td class="number">{figure(run.removed)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Scroll({ title, children }: { title: string; children: JSX.Element }): JSX.Element {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={title}>
      {children}
    </div>
  );
}

function Facts({
  title,
  empty,
  rows,
  columns,
}: {
  title: string;
  empty: string;
  rows: readonly Row[];
  columns: readonly string[];
}): JSX.Element {
  const shown = (name: string, value: Cell): string => {
    if (value === null || value === '') return '–';
    if (typeof value === 'number') return ['first', 'last', 'changed'].includes(name) ? instant(value) : figure(value);
    return ['first', 'last'].includes(name) ? day(String(value)) : String(value);
  };
  return (
    <div class="card" data-facts={title}>
      <h3>{title}</h3>
      {rows.length === 0 ? (
        <p class="empty">{empty}</p>
      ) : (
        <Scroll title={title}>
          <table>
            <thead>
              <tr>
                {columns.map((name) => (
                  <th key={name} scope="col" class={['rows', 'days', 'failures'].includes(name) ? 'number' : ''}>
                    {words(name.replace('_name', ''))}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, nth) => (
                <tr key={nth}>
                  {columns.map((name) => (
                    <td key={name} class={['rows', 'days', 'failures'].includes(name) ? 'number' : ''}>
                      {shown(name, row[name] ?? null)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </div>
  );
}
