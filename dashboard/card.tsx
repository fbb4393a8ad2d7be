/** One report: title, sentence, chart or table, help, and what can be saved. */
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { ageRows, agesOf, AGE_COLUMNS } from './ages.ts';
import { Bars } from './bars.tsx';
import { campaignsOf } from './campaigns.ts';
import { Chart, readout } from './chart.tsx';
import { ageText, Curve } from './curve.tsx';
import { pngOf, save, saveText, svgText } from './download.ts';
import { csvText, plotOf, summarise, totalsBy } from './figures.ts';
import { moved, useTurn, useWidth } from './hooks.ts';
import { day as dayText, figure, period, words } from './locale.ts';
import type { Grain } from './periods.ts';
import { Reactions, reactionsText } from './reactions.tsx';
import { chartForm, idOf } from './reports.ts';
import type { ChartPlan } from './reports.ts';
import type { Comparison } from './state.ts';
import type { Choice, Loaded, Range, ReportText, Row } from './types.ts';
import { sentence } from './words.ts';

interface CardProps {
  readonly plan: ChartPlan;
  readonly text: ReportText;
  readonly loaded: Loaded | undefined;
  /** It is being read. */
  readonly isPending: boolean;
  readonly choice: Choice;
  readonly range: Range;
  readonly earlier: Range | null;
  readonly compare: Comparison;
}

export function Card(props: CardProps): JSX.Element {
  const { plan, text, loaded, isPending } = props;
  const title = plan.drawing?.title ?? text.title;
  const [box, width] = useWidth<HTMLElement>();
  const isFilled = loaded !== undefined && 'rows' in loaded;
  const isDue = useTurn(isFilled && width > 0);
  return (
    <figure class="card" ref={box} data-report={idOf(plan)} aria-label={title}>
      {loaded === undefined && isPending ? (
        <div class="skeleton" />
      ) : loaded === undefined || !('rows' in loaded) ? (
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

function Failure({ loaded }: { loaded: Extract<Loaded, { error: string }> | undefined }): JSX.Element {
  return (
    <p class="failure" role="alert">
      {loaded ? (
        <>
          <code>{loaded.file}</code>: {loaded.error}
        </>
      ) : (
        'No answer.'
      )}
    </p>
  );
}

type Filled = Extract<Loaded, { rows: unknown }>;

function Content({
  plan,
  title,
  text,
  loaded,
  choice,
  range,
  earlier,
  compare,
  width,
}: CardProps & { title: string; loaded: Filled; width: number }): JSX.Element {
  const { grain } = choice;
  const { rows, before, columns } = loaded;
  const form = useMemo(() => chartForm(text), [text]);
  const kind = plan.drawing?.kind ?? (form.x === 'period' ? 'periods' : 'totals');
  const plot = useMemo(
    () => plotOf(form, rows, before, { range, earlier, grain }),
    [form, rows, before, range.from, range.to, earlier?.from, earlier?.to, grain],
  );
  const ages = useMemo(
    () => (kind === 'ages' ? { now: agesOf(rows, columns), before: agesOf(before, columns) } : { now: [], before: [] }),
    [kind, rows, before, columns],
  );
  const found = useMemo(() => summarise(plan.summary, rows, before), [plan, rows, before]);
  const [isTable, setTable] = useState(false);
  const [focus, setFocus] = useState<number | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const menu = useRef<HTMLDetailsElement>(null);
  const said = sentence(plan.summary, found, compare, plot.days.length, grain);
  const doubtful = plot.uncertain.filter((is) => is).length;
  const isEmpty = rows.length === 0;
  const table = kind === 'ages' ? { columns: AGE_COLUMNS, rows: ageRows(ages.now, ages.before) } : { columns, rows };
  const name = [idOf(plan), ...Object.values(choice).filter((word) => word !== '' && word !== 'day'), range.from, range.to].join('_'); // prettier-ignore
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
  // What the arrow keys read out.
  const steps = kind === 'periods' ? plot.days.length : kind === 'ages' ? ages.now.length : 0;
  const onKey = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const next = moved(event.key, focus, steps, 1, kind === 'ages' ? 1 : 7);
    if (next === undefined) return;
    event.preventDefault();
    setFocus(next);
  };
  const label = `${title}. ${said}`;
  // The same element is not drawn again when another part of the page has changed.
  const drawing = useMemo(() => {
    if (kind === 'periods') return <Chart {...{ form, plot, label, width, grain, focus }} onFocus={setFocus} />;
    if (kind === 'ages') return <Curve {...ages} {...{ label, width, focus }} onFocus={setFocus} />;
    if (kind === 'totals')
      return <Bars shares={totalsBy(form, rows, before, earlier !== null)} label={label} width={width} />;
    const campaigns = campaignsOf(rows);
    const words = `${label} ${reactionsText(campaigns, grain)}`;
    return <Reactions campaigns={campaigns} label={words} width={width} grain={grain} />;
  }, [kind, form, plot, ages, label, width, grain, focus, rows, before, earlier !== null]);
  const step = kind === 'ages' ? 'age' : grain;
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
        <h3>{title}</h3>
        <span class="unit">
          {plan.drawing?.unit(grain) ?? `${text.unit ?? ''}${kind === 'periods' ? `, by UTC ${grain}` : ''}`}
        </span>
        <span class="tools">
          <Help title={title} text={text} choice={choice} range={range} />
          <details class="pop" ref={menu}>
            <summary aria-label={`Table and files of ${title}`}>⋯</summary>
            <div class="menu">
              <button type="button" onClick={act(() => setTable(!isTable))}>
                {isTable ? 'Show the chart' : 'Show as table'}
              </button>
              <button type="button" onClick={act(() => saveText(csvText(table, grain), 'text/csv', `${name}.csv`))}>
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
        ) : isTable ? (
          <DayTable {...table} title={title} grain={grain} />
        ) : (
          chart
        )}
      </div>
      <p class="readout" aria-live="polite">
        {focus !== null && kind === 'periods'
          ? `${period(plot.days[focus] ?? range.from, grain)}: ${readout(plot, form, focus)}`
          : focus !== null && kind === 'ages'
            ? ageText(ages.now, ages.before, focus)
            : noteOf(plan, doubtful, `${plot.days.length} ${grain}s`, kind === 'periods')}
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

const MOST_ROWS = 200;
const HIDDEN = ['tenant_id', 'grain', 'pass_type', 'verified_share', 'partial_share', 'open_share', 'loaded_at'];

function DayTable({
  columns,
  rows,
  title,
  grain,
}: {
  columns: readonly string[];
  rows: readonly Row[];
  title: string;
  grain: Grain;
}): JSX.Element {
  const isOne = (name: string): boolean => rows.every((row) => row[name] === rows[0]?.[name]);
  const shown = columns.filter((name) => !HIDDEN.includes(name) && !(name === 'platform' && isOne(name)));
  const newest = rows.slice(-MOST_ROWS).reverse();
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={`${title} as a table`}>
      <table>
        <thead>
          <tr>
            {shown.map((name) => (
              <th key={name} scope="col" class={typeof newest[0]?.[name] === 'number' ? 'number' : ''}>
                {name === 'day' ? grain : words(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {newest.map((row, nth) => (
            <tr key={nth}>
              {shown.map((name) => {
                const value = row[name] ?? null;
                return (
                  <td key={name} class={typeof value === 'number' ? 'number' : ''}>
                    {typeof value === 'number'
                      ? figure(value, name)
                      : value === null
                        ? '–'
                        : name === 'day'
                          ? period(String(value), grain)
                          : String(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > newest.length && (
        <p class="note">{`The newest ${MOST_ROWS} of ${figure(rows.length)} rows. The CSV file has all.`}</p>
      )}
    </div>
  );
}
