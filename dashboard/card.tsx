/** One report: title, sentence, chart or table, help, and what can be saved. */
import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { Bars } from './bars.tsx';
import { Chart, readout } from './chart.tsx';
import { pngOf, save, saveText, svgText } from './download.ts';
import { csvText, plotOf, summarise, totalsBy } from './figures.ts';
import { moved, useTurn, useWidth } from './hooks.ts';
import { day as dayText, figure, words } from './locale.ts';
import { chartForm } from './reports.ts';
import type { ChartPlan } from './reports.ts';
import type { Comparison } from './state.ts';
import type { Loaded, Range, ReportText, Row } from './types.ts';
import { sentence } from './words.ts';

interface CardProps {
  readonly plan: ChartPlan;
  readonly text: ReportText;
  readonly loaded: Loaded | undefined;
  readonly tenant: string;
  readonly range: Range;
  readonly earlier: Range | null;
  readonly compare: Comparison;
}

export function Card(props: CardProps): JSX.Element {
  const { text, loaded } = props;
  const isDue = useTurn();
  return (
    <figure class="card" data-report={text.name} aria-label={text.title}>
      {loaded === undefined || 'error' in loaded ? (
        <>
          <figcaption>
            <h3>{text.title}</h3>
          </figcaption>
          <Failure loaded={loaded} />
        </>
      ) : isDue ? (
        <Content {...props} loaded={loaded} />
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

function Content({ plan, text, loaded, tenant, range, earlier, compare }: CardProps & { loaded: Filled }): JSX.Element {
  const { rows, before, columns } = loaded;
  const form = useMemo(() => chartForm(text), [text]);
  const isByDay = form.x === 'period';
  const plot = useMemo(() => plotOf(form, rows, before, range, earlier), [form, rows, before, range, earlier]);
  const found = useMemo(() => summarise(plan.summary, rows, before), [plan, rows, before]);
  const [isTable, setTable] = useState(false);
  const [focus, setFocus] = useState<number | null>(null);
  const [body, width] = useWidth<HTMLDivElement>();
  const menu = useRef<HTMLDetailsElement>(null);
  const said = sentence(plan.summary, found, compare, plot.days.length);
  const doubtful = plot.uncertain.filter((is) => is).length;
  const isEmpty = rows.length === 0;
  const name = `${text.name}_${tenant}_${range.from}_${range.to}`;
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
  const onKey = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const next = moved(event.key, focus, plot.days.length, 1, 7);
    if (next === undefined) return;
    event.preventDefault();
    setFocus(next);
  };
  const chart = isByDay ? (
    <div
      class="keys"
      tabindex={0}
      role="group"
      aria-label={`${text.title} by day. Arrow keys read out each day.`}
      onKeyDown={onKey}
      onBlur={() => setFocus(null)}
    >
      <Chart form={form} plot={plot} label={`${text.title}. ${said}`} width={width} focus={focus} onFocus={setFocus} />
    </div>
  ) : (
    <Bars shares={totalsBy(form, rows, before, earlier !== null)} label={`${text.title}. ${said}`} width={width} />
  );
  return (
    <>
      <figcaption>
        <h3>{text.title}</h3>
        <span class="unit">{isByDay ? `${text.unit ?? ''}, by UTC day` : (text.unit ?? '')}</span>
        <span class="tools">
          <Help text={text} tenant={tenant} range={range} />
          <details class="pop" ref={menu}>
            <summary aria-label={`Table and files of ${text.title}`}>⋯</summary>
            <div class="menu">
              <button type="button" onClick={act(() => setTable(!isTable))}>
                {isTable ? 'Show the chart' : 'Show as table'}
              </button>
              <button
                type="button"
                onClick={act(() => saveText(csvText({ columns, rows }), 'text/csv', `${name}.csv`))}
              >
                Save as CSV
              </button>
              <button
                type="button"
                disabled={isTable || isEmpty}
                onClick={withPicture((svg) => void pngOf(svg, text.title).then((png) => save(png, `${name}.png`)))}
              >
                Save as PNG
              </button>
              <button
                type="button"
                disabled={isTable || isEmpty}
                onClick={withPicture((svg) => saveText(svgText(svg, text.title), 'image/svg+xml', `${name}.svg`))}
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
          <DayTable columns={columns} rows={rows} title={text.title} />
        ) : width > 0 ? (
          chart
        ) : (
          <div class="skeleton" />
        )}
      </div>
      <p class="readout" aria-live="polite">
        {focus !== null && isByDay
          ? `${dayText(plot.days[focus] ?? range.from)}: ${readout(plot, form, focus)}`
          : noteOf(doubtful, plot.days.length, isByDay)}
      </p>
    </>
  );
}

function noteOf(doubtful: number, days: number, isByDay: boolean): string {
  if (doubtful > 0) return `${isByDay ? 'Hatched: ' : ''}${doubtful} of ${days} days are not fully proven.`;
  return '';
}

function Help({ text, tenant, range }: { text: ReportText; tenant: string; range: Range }): JSX.Element {
  const command = `insights-etl query ${text.name} --param tenant=${tenant} from=${range.from} to=${range.to}`;
  return (
    <details class="pop">
      <summary aria-label={`About ${text.title}`}>?</summary>
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

const MOST_ROWS = 200;
const HIDDEN = ['tenant_id', 'verified_share', 'partial_share', 'open_share', 'loaded_at'];

function DayTable({
  columns,
  rows,
  title,
}: {
  columns: readonly string[];
  rows: readonly Row[];
  title: string;
}): JSX.Element {
  const shown = columns.filter((name) => !HIDDEN.includes(name));
  const newest = rows.slice(-MOST_ROWS).reverse();
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={`${title} as a table`}>
      <table>
        <thead>
          <tr>
            {shown.map((name) => (
              <th key={name} scope="col" class={typeof newest[0]?.[name] === 'number' ? 'number' : ''}>
                {words(name)}
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
                          ? dayText(String(value))
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
