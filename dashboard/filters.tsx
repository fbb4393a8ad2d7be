/** Tenant, range and comparison. The address holds what is chosen. */
import type { JSX } from 'preact';
import { addDays } from './manifest.ts';
import { COMPARISONS, RANGES, rangeOf } from './state.ts';
import type { Comparison, RangeName, State } from './state.ts';
import type { Snapshot, TenantSpan } from './types.ts';

const RANGE_WORDS: Readonly<Record<RangeName, string>> = {
  '7d': '7 days',
  '30d': '30 days',
  '90d': '90 days',
  '12m': '12 months',
  all: 'All',
  custom: 'Custom',
};
const COMPARISON_WORDS: Readonly<Record<Comparison, string>> = {
  previous: 'the days before',
  year: 'a year before',
  none: 'nothing',
};

interface FiltersProps {
  readonly state: State;
  readonly snapshot: Snapshot;
  readonly span: TenantSpan;
  readonly onChange: (state: State) => void;
}

export function Filters({ state, snapshot, span, onChange }: FiltersProps): JSX.Element {
  const range = rangeOf(state, span);
  const choose = (name: RangeName): void =>
    onChange({ ...state, range: name, ...(name === 'custom' ? range : { from: '', to: '' }) });
  const setDay = (change: Partial<Pick<State, 'from' | 'to'>>): void => {
    const next = { ...state, ...change };
    if (next.from !== '' && next.to !== '' && next.from < next.to) onChange(next);
  };
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        Tenant
        <select value={span.id} onChange={(event) => onChange({ ...state, tenant: event.currentTarget.value })}>
          {snapshot.tenants.map(({ id }) => (
            <option key={id} value={id}>
              {id}
            </option>
          ))}
        </select>
      </label>
      <div class="ranges" role="group" aria-label="Range">
        {RANGES.map((name) => (
          <button key={name} type="button" aria-pressed={state.range === name} onClick={() => choose(name)}>
            {RANGE_WORDS[name]}
          </button>
        ))}
      </div>
      {state.range === 'custom' && (
        <>
          <label>
            From
            <input
              type="date"
              value={state.from}
              max={state.to}
              onChange={(event) => setDay({ from: event.currentTarget.value })}
            />
          </label>
          <label>
            to
            <input
              type="date"
              value={addDays(state.to, -1)}
              min={state.from}
              onChange={(event) =>
                event.currentTarget.value !== '' && setDay({ to: addDays(event.currentTarget.value, 1) })
              }
            />
          </label>
        </>
      )}
      {state.page === 'adoption' && (
        <label>
          Compare with
          <select
            value={state.compare}
            onChange={(event) =>
              onChange({
                ...state,
                compare: COMPARISONS.find((word) => word === event.currentTarget.value) ?? 'previous',
              })
            }
          >
            {COMPARISONS.map((name) => (
              <option key={name} value={name}>
                {COMPARISON_WORDS[name]}
              </option>
            ))}
          </select>
        </label>
      )}
      <span class="zone">Days are UTC</span>
    </form>
  );
}
