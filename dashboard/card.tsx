/** One report: title, sentence, chart or table, help, and what can be saved. */
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { AGE_COLUMNS, ageRows } from './ages.ts';
import { Bars } from './bars.tsx';
import { Chart, readout } from './chart.tsx';
import type { ChartContent } from './contents.ts';
import { ageText, Curve } from './curve.tsx';
import { ask, DataError } from './data.ts';
import { pngOf, save, saveText, svgText } from './download.ts';
import { csvText } from './figures.ts';
import { moved, useTurn, useWidth } from './hooks.ts';
import { day as dayText, period } from './locale.ts';
import { periodsOf } from './periods.ts';
import { Reactions, reactionsText } from './reactions.tsx';
import { chartForm, idOf } from './reports.ts';
import type { ChartPlan } from './reports.ts';
import type { Comparison } from './state.ts';
import { DayTable, Failure, RowsTable } from './table.tsx';
import type { Choice, Loaded, Range, ReportText } from './types.ts';
import { sentence } from './words.ts';

interface CardProps {
  readonly plan: ChartPlan;
  readonly text: ReportText;
  readonly loaded: Loaded<ChartContent> | undefined;
  /** It is being read. */
  readonly isPending: boolean;
  readonly choice: Choice;
  readonly range: Range;
  readonly compare: Comparison;
}

export function Card(props: CardProps): JSX.Element {
  const { plan, text, loaded, isPending } = props;
  const title = plan.drawing?.title ?? text.title;
  const [box, width] = useWidth<HTMLElement>();
  const isFilled = loaded !== undefined && 'shape' in loaded;
  const isDue = useTurn(isFilled && width > 0);
  return (
    <figure class="card" ref={box} data-report={idOf(plan)} aria-label={title}>
      {loaded === undefined && isPending ? (
        <div class="skeleton" />
      ) : loaded === undefined || !('shape' in loaded) ? (
        <>
          <figcaption>
            <h3>{title}</h3>
          </figcaption>
          {loaded && 'absent' in loaded ? <p class="empty">{loaded.absent}</p> : <Failure loaded={loaded} />}
        </>
      ) : isDue ? (
        <Content {...props} title={title} loaded={loaded} width={width} />
      ) : (
        <div class="skeleton" />
      )}
    </figure>
  );
}

function Content({
  plan,
  title,
  text,
  loaded,
  choice,
  range,
  compare,
  width,
}: CardProps & { title: string; loaded: ChartContent; width: number }): JSX.Element {
  const { grain } = choice;
  const { shape, isEmpty, doubtful, source } = loaded;
  const form = useMemo(() => chartForm(text), [text]);
  const days = periodsOf(range, grain);
  const plot = useMemo(() => (shape.kind === 'periods' ? { days, ...shape } : undefined), [days, shape]);
  const [isTable, setTable] = useState(false);
  const [focus, setFocus] = useState<number | null>(null);
  const [trouble, setTrouble] = useState('');
  const body = useRef<HTMLDivElement>(null);
  const menu = useRef<HTMLDetailsElement>(null);
  const said = sentence(plan.summary, loaded.summary, compare, days.length, grain);
  const ages = shape.kind === 'ages' ? { columns: AGE_COLUMNS, rows: ageRows(shape.now, shape.before) } : undefined;
  const name = [idOf(plan), ...Object.values(choice).filter((word) => word !== '' && word !== 'day'), range.from, range.to].join('_'); // oxfmt-ignore
  const picture = (): SVGSVGElement | null => body.current?.querySelector<SVGSVGElement>('svg.chart') ?? null;
  const act = (what: () => void) => (): void => {
    what();
    if (menu.current) menu.current.open = false;
  };
  const withPicture = (what: (svg: SVGSVGElement) => void): (() => void) =>
    act(() => {
      const svg = picture();
      if (svg) what(svg);
    });
  const saveCsv = async (): Promise<void> => {
    try {
      const table = ages ?? (await ask({ kind: 'rows', source, range }));
      saveText(csvText(table, grain), 'text/csv', `${name}.csv`);
      setTrouble('');
    } catch (error) {
      setTrouble(error instanceof DataError ? `${error.file}: ${error.message}` : String(error));
    }
  };
  // What the arrow keys read out.
  const steps = plot ? days.length : shape.kind === 'ages' ? shape.now.length : 0;
  const onKey = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const next = moved(event.key, focus, steps, 1, ages ? 1 : 7);
    if (next === undefined) return;
    event.preventDefault();
    setFocus(next);
  };
  const label = `${title}. ${said}`;
  // The same element is not drawn again when another part of the page has changed.
  const drawing = useMemo(() => {
    if (plot) return <Chart {...{ form, plot, label, width, grain, focus }} onFocus={setFocus} />;
    if (shape.kind === 'ages') return <Curve {...shape} {...{ label, width, focus }} onFocus={setFocus} />;
    if (shape.kind === 'totals') return <Bars shares={shape.shares} label={label} width={width} />;
    if (shape.kind === 'periods') return null;
    const { campaigns } = shape;
    const words = `${label} ${reactionsText(campaigns, grain)}`;
    return <Reactions campaigns={campaigns} label={words} width={width} grain={grain} />;
  }, [form, plot, shape, label, width, grain, focus]);
  const step = ages ? 'age' : grain;
  const chart =
    steps > 0 ? (
      <div
        class="keys"
        tabindex={0}
        role="group"
        aria-label={`${title} by ${step}. Arrow keys read out each ${step}.`}
        onKeyDown={onKey}
        onBlur={() => setFocus(null)}
      >
        {drawing}
      </div>
    ) : (
      drawing
    );
  return (
    <>
      <figcaption>
        <div class="titles">
          <h3>{title}</h3>
          <span class="unit">
            {plan.drawing?.unit(grain) ?? `${text.unit ?? ''}${plot ? `, by UTC ${grain}` : ''}`}
          </span>
        </div>
        <span class="tools">
          <Help title={title} text={text} choice={choice} range={range} />
          <details class="pop" ref={menu}>
            <summary aria-label={`Table and files of ${title}`}>⋯</summary>
            <div class="menu">
              <button type="button" onClick={act(() => setTable(!isTable))}>
                {isTable ? 'Show the chart' : 'Show as table'}
              </button>
              <button type="button" onClick={act(() => void saveCsv())}>
                Save as CSV
              </button>
              <button
                type="button"
                disabled={isTable || isEmpty}
                onClick={withPicture((svg) => void pngOf(svg, title).then((png) => save(png, `${name}.png`)))}
              >
                Save as PNG
              </button>
              <button
                type="button"
                disabled={isTable || isEmpty}
                onClick={withPicture((svg) => saveText(svgText(svg, title), 'image/svg+xml', `${name}.svg`))}
              >
                Save as SVG
              </button>
            </div>
          </details>
        </span>
      </figcaption>
      <p class="sentence">{said}</p>
      <div class="body" ref={body}>
        {isEmpty ? (
          <p class="empty">{`Nothing between ${dayText(range.from)} and ${dayText(range.to)}.`}</p>
        ) : isTable && ages ? (
          <DayTable {...ages} title={title} grain={grain} />
        ) : isTable ? (
          <RowsTable {...{ source, range, title, grain }} />
        ) : (
          chart
        )}
      </div>
      <p class="readout" aria-live="polite">
        {trouble !== ''
          ? trouble
          : focus !== null && plot
            ? `${period(days[focus] ?? range.from, grain)}: ${readout(plot, form, focus)}`
            : focus !== null && shape.kind === 'ages'
              ? ageText(shape.now, shape.before, focus)
              : noteOf(plan, doubtful, `${days.length} ${grain}s`, plot !== undefined)}
      </p>
    </>
  );
}

function noteOf({ caution = '', drawing }: ChartPlan, doubtful: number, all: string, isHatched: boolean): string {
  // What counts for a campaign or an age also happens in the days that follow.
  const words = drawing === undefined ? 'not fully proven' : 'not final yet, or not fully proven';
  const doubt = doubtful > 0 ? `${isHatched ? 'Hatched: ' : ''}${doubtful} of ${all} are ${words}.` : '';
  return `${caution} ${doubt}`.trim();
}

interface HelpProps {
  readonly title: string;
  readonly text: ReportText;
  readonly choice: Choice;
  readonly range: Range;
}

function Help({ title, text, choice, range }: HelpProps): JSX.Element {
  const command = queryOf(text.name, choice, range);
  return (
    <details class="pop">
      <summary aria-label={`About ${title}`}>?</summary>
      <div class="menu help">
        <p>{text.description}</p>
        {text.formula !== undefined && (
          <p>
            <code>{text.formula}</code>
          </p>
        )}
        <ul>
          {text.caveats.map((caveat) => (
            <li key={caveat}>{caveat}</li>
          ))}
        </ul>
        <p>
          The same figures: <code>{command}</code>
        </p>
      </div>
    </details>
  );
}

/** The command that prints the same figures. */
function queryOf(name: string, { tenant, grain, passType, platform }: Choice, { from, to }: Range): string {
  const word = (text: string): string =>
    /^[\w.=-]*$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const values = [
    `tenant=${tenant}`,
    `from=${from}`,
    `to=${to}`,
    ...(grain === 'day' ? [] : [`grain=${grain}`]),
    ...(passType === '' ? [] : [`pass_type=${passType}`]),
    ...(platform === '' ? [] : [`platform=${platform}`]),
  ];
  return `insights-etl query ${name} --param ${values.map(word).join(' ')}`;
}
