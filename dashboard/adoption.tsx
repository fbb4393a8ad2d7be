/** Adoption: the headline, then one section per question. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { Card } from './card.tsx';
import { Sparkline } from './chart.tsx';
import type { ChartContent, FigureContent } from './contents.ts';
import { useTurn } from './hooks.ts';
import { change, figure, periodShort } from './locale.ts';
import type { Grain } from './periods.ts';
import { HEADLINES, idOf, SECTIONS } from './reports.ts';
import type { ChartPlan, Headline } from './reports.ts';
import type { Comparison, State } from './state.ts';
import type { Answer, Loaded } from './types.ts';

export function Adoption({ state, answer }: { state: State; answer: Answer }): JSX.Element {
  return (
    <>
      <div class="headline">
        {HEADLINES.map((headline) => (
          <Figure
            key={headline.label}
            headline={headline}
            loaded={answer.figures[headline.label]}
            isPending={!answer.isWhole}
            grain={answer.choice.grain}
          />
        ))}
      </div>
      {SECTIONS.map(({ id, question, charts }) => (
        <section key={id} aria-labelledby={`q-${id}`}>
          <h2 id={`q-${id}`}>{question}</h2>
          <div class="cards">
            {charts.map((plan) => (
              <Slot
                key={idOf(plan)}
                plan={plan}
                loaded={answer.charts[idOf(plan)]}
                answer={answer}
                compare={state.compare}
              />
            ))}
          </div>
        </section>
      ))}
    </>
  );
}

interface SlotProps {
  readonly plan: ChartPlan;
  readonly loaded: Loaded<ChartContent> | undefined;
  readonly answer: Answer;
  readonly compare: Comparison;
}

/** A card is drawn again only when something of its own has changed, and not with each part of the answer. */
function Slot({ plan, loaded, answer, compare }: SlotProps): JSX.Element | null {
  const { snapshot, choice, range } = answer;
  const text = useMemo(() => snapshot.reports.find(({ name }) => name === plan.report), [snapshot, plan]);
  const isPending = loaded === undefined && !answer.isWhole;
  return useMemo(
    () => (text ? <Card {...{ plan, text, loaded, isPending, choice, range, compare }} /> : null),
    [plan, text, loaded, isPending, choice, range, compare],
  );
}

interface FigureProps {
  readonly headline: Headline;
  readonly loaded: Loaded<FigureContent> | undefined;
  readonly isPending: boolean;
  readonly grain: Grain;
}

function Figure({ headline, loaded, isPending, grain }: FigureProps): JSX.Element {
  const { label } = headline;
  const isFilled = loaded !== undefined && 'summary' in loaded;
  const isDue = useTurn(isFilled);
  const line = useMemo(() => isFilled && isDue && <Sparkline values={loaded.line} />, [isDue, loaded]);
  if (!isFilled || !isDue)
    return (
      <div class="figure" data-figure={label}>
        <h2>{label}</h2>
        <p class="value">–</p>
        <span />
        <p class="change">
          {isFilled || isPending ? '' : loaded && 'absent' in loaded ? 'not with these filters' : 'not available'}
        </p>
      </div>
    );
  const { value, before, day: at, uncertainDays } = loaded.summary;
  const share = value !== null && before !== null ? change(value, before) : undefined;
  const isUp = value !== null && before !== null && value > before;
  const isSame = value === before;
  const mood = isSame || share === undefined ? '' : isUp === (headline.isBad !== true) ? 'good' : 'bad';
  return (
    <div class={`figure ${uncertainDays > 0 ? 'doubtful' : ''}`} data-figure={label}>
      <h2>{label}</h2>
      <p class="value">{figure(value)}</p>
      {line}
      <div class="beneath">
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
    </div>
  );
}
