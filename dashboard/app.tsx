/** The frame of both pages. What is shown comes from one answer, and is replaced as a whole. */
import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Adoption } from './adoption.tsx';
import { ask, askMarts, DataError } from './data.ts';
import { Filters } from './filters.tsx';
import { day, figure, instant } from './locale.ts';
import { addDays } from './manifest.ts';
import { ProofPage } from './proof.tsx';
import { FIRST, REPORTS } from './reports.ts';
import { PAGES, parseState, rangeBefore, rangeOf, stateText } from './state.ts';
import type { Page, State } from './state.ts';
import type { Answer, Proof, Range, Snapshot, TenantSpan } from './types.ts';

/** Everything on the screen, of one snapshot. */
interface View {
  readonly state: State;
  readonly snapshot: Snapshot;
  readonly span: TenantSpan;
  readonly range: Range;
  readonly content:
    { readonly page: 'adoption'; readonly answer: Answer } | { readonly page: 'proof'; readonly proof: Proof };
}

const POLL_MS = 15_000;
const OLD_MS = 2 * 86_400_000;
const PAGE_WORDS: Readonly<Record<Page, string>> = { adoption: 'Adoption', proof: 'Proof' };

/** `showSome` gets the top of the page before the rest of it is read. */
async function load(state: State, showSome: (view: View) => void): Promise<View> {
  for (let attempt = 0; ; attempt++) {
    const snapshot = await ask({ kind: 'snapshot' });
    const span = snapshot.tenants.find(({ id }) => id === state.tenant) ?? snapshot.tenants[0];
    if (!span) throw new DataError('The lake holds no tenant yet. `insights-etl run` loads one.', 'manifest.json');
    const range = rangeOf(state, span);
    const { grain, passType, platform } = state;
    const choice = { tenant: span.id, grain, passType, platform };
    const marts = { choice, range, before: rangeBefore(state, range), reports: REPORTS };
    const [found, content] =
      state.page === 'proof'
        ? await ask({ kind: 'proof', tenant: span.id }).then(
            ({ snapshot: of, proof }) => [of, { page: 'proof', proof }] as const,
          )
        : await askMarts({ kind: 'marts', ...marts }, FIRST, (answer) => {
            const content = { page: 'adoption', answer } as const;
            if (answer.snapshot.number === snapshot.number) showSome({ state, snapshot, span, range, content });
          }).then((answer) => [answer.snapshot, { page: 'adoption', answer }] as const);
    // A snapshot that came in between may end at another day.
    if (found.number === snapshot.number || attempt === 3) return { state, snapshot: found, span, range, content };
  }
}

export function App(): JSX.Element {
  const [view, setView] = useState<View>();
  const [failure, setFailure] = useState<DataError>();
  const [isLate, setLate] = useState(false);
  const [notice, setNotice] = useState('');
  const current = useRef(0);
  const shown = useRef<View | undefined>(undefined);

  const show = useCallback(async (state: State): Promise<void> => {
    const mine = ++current.current;
    const late = setTimeout(() => setLate(true), 200);
    try {
      const next = await load(state, (some) => {
        // Afterwards everything is replaced at once.
        if (mine === current.current && shown.current === undefined) setView(some);
      });
      if (mine !== current.current) return;
      const before = shown.current;
      if (before && before.snapshot.number !== next.snapshot.number)
        setNotice(`Updated to snapshot ${next.snapshot.number}.`);
      shown.current = next;
      setView(next);
      setFailure(undefined);
    } catch (error) {
      if (mine === current.current) setFailure(error instanceof DataError ? error : new DataError(String(error), ''));
    } finally {
      clearTimeout(late);
      if (mine === current.current) setLate(false);
    }
  }, []);

  const go = useCallback(
    (state: State): void => {
      history.pushState(null, '', stateText(state));
      void show(state);
    },
    [show],
  );

  useEffect(() => {
    const fromAddress = (): void => void show(parseState(location.search));
    fromAddress();
    addEventListener('popstate', fromAddress);
    const poll = setInterval(() => {
      if (document.hidden) return;
      ask({ kind: 'snapshot' }).then(
        ({ number }) => {
          if (number === shown.current?.snapshot.number) return undefined;
          return show(parseState(location.search));
        },
        // What is shown stays true; the next attempt may succeed.
        () => {},
      );
    }, POLL_MS);
    return () => {
      removeEventListener('popstate', fromAddress);
      clearInterval(poll);
    };
  }, [show]);

  useEffect(() => {
    if (notice === '') return undefined;
    const timer = setTimeout(() => setNotice(''), 8000);
    return () => clearTimeout(timer);
  }, [notice]);

  const state = view?.state ?? parseState(location.search);
  return (
    <>
      <header class="top">
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <a
              key={page}
              href={stateText({ ...state, page })}
              aria-current={state.page === page ? 'page' : undefined}
              onClick={(event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                go({ ...state, page });
              }}
            >
              {PAGE_WORDS[page]}
            </a>
          ))}
        </nav>
        {view && <Status view={view} onProof={() => go({ ...state, page: 'proof' })} />}
      </header>
      <p class="notice" role="status">
        {notice}
      </p>
      {view && <p class="printed">{shownText(view)}</p>}
      {view && <Filters state={state} snapshot={view.snapshot} span={view.span} onChange={go} />}
      <main class={isLate ? 'late' : ''} aria-busy={isLate} data-snapshot={view?.snapshot.number}>
        <h1 class="unseen">{PAGE_WORDS[state.page]}</h1>
        {failure && <Failure failure={failure} hasView={view !== undefined} />}
        {view && state.tenant !== '' && state.tenant !== view.span.id && (
          <p class="warning">{`There is no tenant "${state.tenant}" in this snapshot. This is ${view.span.id}.`}</p>
        )}
        {view ? <Content view={view} go={go} /> : !failure && isLate && <Skeleton />}
      </main>
    </>
  );
}

/** What the filters say, on paper. */
function shownText({ state, span, range }: View): string {
  const days = `${day(range.from)} – ${day(addDays(range.to, -1))} (UTC)`;
  if (state.page === 'proof') return `${span.id}, ${days}`;
  const { grain, passType, platform } = state;
  return [span.id, days, `by ${grain}`, passType && `pass type ${passType}`, platform && `platform ${platform}`]
    .filter((part) => part !== '')
    .join(', ');
}

function Content({ view, go }: { view: View; go: (state: State) => void }): JSX.Element {
  const { content, state, range } = view;
  if (content.page === 'adoption' && !view.snapshot.hasMarts)
    return (
      <p class="empty">
        This snapshot has no figures by day. <code>lake.marts: true</code>, which is the default, and a run add them.
        What is proven of the lake is on the page <a href={stateText({ ...state, page: 'proof' })}>Proof</a>.
      </p>
    );
  if (content.page === 'adoption') return <Adoption state={state} answer={content.answer} />;
  return <ProofPage proof={content.proof} range={range} state={state} onChange={go} />;
}

function Status({ view, onProof }: { view: View; onProof: () => void }): JSX.Element {
  const { publishedAt, byContent, unproven } = view.snapshot;
  const at = Date.parse(publishedAt);
  const isOld = Date.now() - at > OLD_MS;
  const share = Math.floor(byContent * 1000) / 10;
  return (
    <button type="button" class="status" onClick={onProof}>
      <span class={`light ${unproven > 0 || isOld ? 'doubt' : 'fine'}`} aria-hidden="true" />
      {`Snapshot of ${instant(at)}, ${figure(share)} % of hours proven by content`}
      {unproven > 0 && `, ${figure(unproven)} not proven`}
      {isOld && '. It is old: `insights-etl status` says why'}
    </button>
  );
}

function Failure({ failure, hasView }: { failure: DataError; hasView: boolean }): JSX.Element {
  return (
    <div class="failure" role="alert">
      <p>
        {failure.file !== '' && <code>{failure.file}</code>} {failure.message}
      </p>
      {hasView && <p>What is shown below is the snapshot before.</p>}
    </div>
  );
}

function Skeleton(): JSX.Element {
  return (
    <div class="cards" aria-hidden="true">
      {[0, 1, 2, 3].map((nth) => (
        <div key={nth} class="card">
          <div class="skeleton" />
        </div>
      ))}
    </div>
  );
}
