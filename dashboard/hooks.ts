/** The width of an element, and drawing one part after another. */
import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export function useWidth<T extends HTMLElement>(): [RefObject<T | null>, number] {
  const element = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!element.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

const queue: (() => void)[] = [];

/** One task each, so that no task keeps the page from answering. */
function runNext(): void {
  queue.shift()?.();
  if (queue.length > 0) setTimeout(runNext);
}

/** True once this part is ready and it is its turn to be drawn. */
export function useTurn(isReady = true): boolean {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    if (!isReady) return undefined;
    const mine = (): void => setDue(true);
    if (queue.push(mine) === 1) setTimeout(runNext);
    return () => {
      const nth = queue.indexOf(mine);
      if (nth >= 0) queue.splice(nth, 1);
    };
  }, [isReady]);
  return isDue;
}

/** Arrow keys move through `length` steps; Home and End jump. */
export function moved(key: string, focus: number | null, length: number, across = 1, along = 1): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -across,
    ArrowRight: across,
    ArrowUp: -along,
    ArrowDown: along,
  };
  if (key === 'Home') return 0;
  if (key === 'End') return length - 1;
  const by = steps[key];
  if (by === undefined) return undefined;
  return focus === null ? (by > 0 ? 0 : length - 1) : Math.min(length - 1, Math.max(0, focus + by));
}
