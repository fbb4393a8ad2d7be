/** Tenant, range and comparison. The address holds what is chosen. */
import type { JSX } from 'preact';
import { addDays } from './manifest.ts';
import { GRAINS } from './periods.ts';
import type { Grain } from './periods.ts';
import { COMPARISONS, RANGES, rangeOf } from './state.ts';
import type { Comparison, RangeName, State } from './state.ts';
import type { Answer } from './types.ts';

const RANGE_WORDS: Readonly<Record<RangeName, string>> = {
  '7d': '7 days',
  '30d': '30 days',
  '90d': '90 days',
  '12m': '12 months',
  all: 'All',
  custom: 'Custom',
};
const COMPARISON_WORDS: Readonly<Record<Comparison, string>> = {
  previous: 'the time before',
  year: 'a year before',
  none: 'nothing',
};

interface FiltersProps {
  readonly state: State;
  readonly answer: Answer;
  readonly onChange: (state: State) => void;
}

const GRAIN_WORDS: Readonly<Record<Grain, string>> = { day: 'days', week: 'weeks', month: 'months' };

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly string[];
  readonly onChange: (value: string) => void;
}

function One({ label, value, options, onChange }: ChoiceProps): JSX.Element {
  const known = value === '' || options.includes(value) ? options : [value, ...options];
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">all</option>
        {known.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Filters({ state, answer: { snapshot, span, options }, onChange }: FiltersProps): JSX.Element {
  const range = rangeOf({ ...state, grain: 'day' }, span);
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
      {state.page === 'adoption' && snapshot.hasSplits && (
        <>
          <label>
            By
            <select
              value={state.grain}
              onChange={(event) =>
                onChange({ ...state, grain: GRAINS.find((grain) => grain === event.currentTarget.value) ?? 'day' })
              }
            >
              {GRAINS.map((grain) => (
                <option key={grain} value={grain}>
                  {GRAIN_WORDS[grain]}
                </option>
              ))}
            </select>
          </label>
          <One
            label="Pass type"
            value={state.passType}
            options={options.passTypes}
            onChange={(passType) => onChange({ ...state, passType })}
          />
          <One
            label="Platform"
            value={state.platform}
            options={options.platforms}
            onChange={(platform) => onChange({ ...state, platform })}
          />
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
