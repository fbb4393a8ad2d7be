/** The frame of both pages. What is shown comes from one answer, and is replaced as a whole. */
import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Adoption } from './adoption.tsx';
import { ask, askPage, DataError } from './data.ts';
import { Filters } from './filters.tsx';
import { day, figure, instant } from './locale.ts';
import { addDays } from './manifest.ts';
import { ProofPage } from './proof.tsx';
import { PAGES, parseState, stateText } from './state.ts';
import type { Page, State } from './state.ts';
import type { Answer } from './types.ts';

/** Everything on the screen, of one snapshot. */
interface View {
  readonly state: State;
  readonly answer: Answer;
}

const POLL_MS = 15_000;
const OLD_MS = 2 * 86_400_000;
const PAGE_WORDS: Readonly<Record<Page, string>> = { adoption: 'Adoption', proof: 'Proof' };

export function App(): JSX.Element {
  const [view, setView] = useState<View>();
  const [failure, setFailure] = useState<DataError>();
  const [isLate, setLate] = useState(false);
  const [notice, setNotice] = useState('');
  const current = useRef(0);
  const shown = useRef<View | undefined>(undefined);

  /** Shows what the address says. */
  const show = useCallback(async (): Promise<void> => {
    const mine = ++current.current;
    const state = parseState(location.search);
    const late = setTimeout(() => setLate(true), 200);
    try {
      const answer = await askPage(location.search, (some) => {
        // Afterwards everything is replaced at once.
        if (mine === current.current && shown.current === undefined) setView({ state, answer: some });
      });
      if (mine !== current.current) return;
      const before = shown.current?.answer.snapshot.number;
      const { number } = answer.snapshot;
      if (before !== undefined && before !== number) setNotice(`Updated to snapshot ${number}.`);
      shown.current = { state, answer };
      setView(shown.current);
      setFailure(undefined);
    } catch (error) {
      if (mine !== current.current) return;
      setView(shown.current);
      setFailure(error instanceof DataError ? error : new DataError(String(error), ''));
    } finally {
      clearTimeout(late);
      if (mine === current.current) setLate(false);
    }
  }, []);

  const go = useCallback(
    (state: State): void => {
      history.pushState(null, '', stateText(state));
      void show();
    },
    [show],
  );

  useEffect(() => {
    const fromAddress = (): void => void show();
    fromAddress();
    addEventListener('popstate', fromAddress);
    const look = (): void => {
      if (document.hidden) return;
      ask({ kind: 'snapshot' }).then(
        (number) => (number === shown.current?.answer.snapshot.number ? undefined : show()),
        // What is shown stays true; the next attempt may succeed.
        () => {},
      );
    };
    const poll = setInterval(look, POLL_MS);
    // A tab in the background does not ask: it does so when it is looked at again.
    document.addEventListener('visibilitychange', look);
    return () => {
      removeEventListener('popstate', fromAddress);
      document.removeEventListener('visibilitychange', look);
      clearInterval(poll);
    };
  }, [show]);

  useEffect(() => {
    if (notice === '') return undefined;
    const timer = setTimeout(() => setNotice(''), 8000);
    return () => clearTimeout(timer);
  }, [notice]);

  const state = view?.state ?? parseState(location.search);
  const isWhole = view === undefined || view.answer.isWhole;
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
      {view && <Filters state={state} answer={view.answer} onChange={go} />}
      <main
        class={isLate && isWhole ? 'late' : ''}
        aria-busy={isLate || !isWhole}
        data-snapshot={view?.answer.snapshot.number}
      >
        <h1 class="unseen">{PAGE_WORDS[state.page]}</h1>
        {failure && <Failure failure={failure} hasView={view !== undefined} />}
        {view && state.tenant !== '' && state.tenant !== view.answer.span.id && (
          <p class="warning">{`There is no tenant "${state.tenant}" in this snapshot. This is ${view.answer.span.id}.`}</p>
        )}
        {view && (isWhole || state.page === 'adoption') ? (
          <Content view={view} go={go} />
        ) : (
          !failure && isLate && <Skeleton />
        )}
      </main>
    </>
  );
}

/** What the filters say, on paper. */
function shownText({ state, answer: { span, range } }: View): string {
  const days = `${day(range.from)} – ${day(addDays(range.to, -1))} (UTC)`;
  if (state.page === 'proof') return `${span.id}, ${days}`;
  const { grain, passType, platform } = state;
  return [span.id, days, `by ${grain}`, passType && `pass type ${passType}`, platform && `platform ${platform}`]
    .filter((part) => part !== '')
    .join(', ');
}

function Content({ view, go }: { view: View; go: (state: State) => void }): JSX.Element | null {
  const { state, answer } = view;
  if (state.page === 'proof')
    return answer.proof ? <ProofPage proof={answer.proof} range={answer.range} state={state} onChange={go} /> : null;
  if (answer.snapshot.hasMarts) return <Adoption state={state} answer={answer} />;
  return (
    <p class="empty">
      This snapshot has no figures by day. <code>lake.marts: true</code>, which is the default, and a run add them. What
      is proven of the lake is on the page <a href={stateText({ ...state, page: 'proof' })}>Proof</a>.
    </p>
  );
}

function Status({ view, onProof }: { view: View; onProof: () => void }): JSX.Element {
  const { publishedAt, byContent, unproven } = view.answer.snapshot;
  const at = Date.parse(publishedAt);
  const isOld = Date.now() - at > OLD_MS;
  // Rounded down: 99.99 % is not all of them.
  const share = Math.floor(byContent * 1000) / 1000;
  return (
    <button type="button" class="status" onClick={onProof}>
      <span class={`light ${unproven > 0 || isOld ? 'doubt' : 'fine'}`} aria-hidden="true" />
      {`Snapshot of ${instant(at)}, ${figure(share, 'share')} of hours proven by content`}
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
