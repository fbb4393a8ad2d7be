/** Adoption: the headline, then one section per question. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { Card } from './card.tsx';
import { Sparkline } from './chart.tsx';
import { sparkline, summarise } from './figures.ts';
import { useTurn } from './hooks.ts';
import { change, figure, periodShort } from './locale.ts';
import { HEADLINES, idOf, SECTIONS } from './reports.ts';
import type { Headline } from './reports.ts';
import { rangeBefore } from './state.ts';
import type { State } from './state.ts';
import type { Answer, Loaded } from './types.ts';

export function Adoption({ state, answer }: { state: State; answer: Answer }): JSX.Element {
  const { range, choice, snapshot } = answer;
  const earlier = rangeBefore(state, range);
  return (
    <>
      <div class="headline">
        {HEADLINES.map((headline) => (
          <Figure key={headline.label} headline={headline} loaded={answer.reports[headline.report]} answer={answer} />
        ))}
      </div>
      {SECTIONS.map(({ id, question, charts }) => (
        <section key={id} aria-labelledby={`q-${id}`}>
          <h2 id={`q-${id}`}>{question}</h2>
          <div class="cards">
            {charts.map((plan) => {
              const text = snapshot.reports.find(({ name }) => name === plan.report);
              return (
                text && (
                  <Card
                    key={idOf(plan)}
                    plan={plan}
                    text={text}
                    loaded={answer.reports[plan.report]}
                    isPending={!answer.isWhole}
                    choice={choice}
                    range={range}
                    earlier={earlier}
                    compare={state.compare}
                  />
                )
              );
            })}
          </div>
        </section>
      ))}
    </>
  );
}

function Figure({
  headline,
  loaded,
  answer,
}: {
  headline: Headline;
  loaded: Loaded | undefined;
  answer: Answer;
}): JSX.Element {
  const { label, summary } = headline;
  const { grain } = answer.choice;
  const { range } = answer;
  const isFilled = loaded !== undefined && 'rows' in loaded;
  const isDue = useTurn(isFilled);
  const found = useMemo(
    () =>
      isDue && isFilled
        ? {
            ...summarise(summary, loaded.rows, loaded.before),
            line: <Sparkline values={sparkline(summary.column, loaded.rows, range, grain)} />,
          }
        : undefined,
    [isDue, summary, loaded, range.from, range.to, grain],
  );
  if (found === undefined)
    return (
      <div class="figure" data-figure={label}>
        <h2>{label}</h2>
        <p class="value">–</p>
        <span />
        <p class="change">
          {isFilled ? '' : loaded && 'absent' in loaded ? 'not with these filters' : 'not available'}
        </p>
      </div>
    );
  const { value, before, day: at, uncertainDays, line } = found;
  const share = value !== null && before !== null ? change(value, before) : undefined;
  const isUp = value !== null && before !== null && value > before;
  const isSame = value === before;
  const mood = isSame || share === undefined ? '' : isUp === (headline.isBad !== true) ? 'good' : 'bad';
  return (
    <div class={`figure ${uncertainDays > 0 ? 'doubtful' : ''}`} data-figure={label}>
      <h2>{label}</h2>
      <p class="value">{figure(value)}</p>
      {line}
      <p class={`change ${mood}`}>
        {share === undefined ? (
          'no comparison'
        ) : (
          <>
            <span aria-hidden="true">{isSame ? '=' : isUp ? '▲' : '▼'}</span> {share}
            <span class="unseen">{` compared with ${figure(before)}`}</span>
          </>
        )}
      </p>
      <p class="note">
        {uncertainDays > 0 ? 'not fully proven' : at === null ? `in these ${grain}s` : periodShort(at, grain)}
      </p>
    </div>
  );
}
