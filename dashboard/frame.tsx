/** What the charts over a value axis have in common: the frame that follows the pointer, and the axis itself. */
import type { ComponentChildren, JSX } from 'preact';
import { tick } from './locale.ts';

interface ChartFrameProps {
  readonly label: string;
  readonly width: number;
  readonly height: number;
  /** The pointer's place in the units of the chart; null when it leaves. */
  readonly onPoint: (x: number | null) => void;
  readonly children: ComponentChildren;
}

export function ChartFrame({ label, width, height, onPoint, children }: ChartFrameProps): JSX.Element {
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      role="img"
      aria-label={label}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        onPoint(((event.clientX - box.left) / box.width) * width);
      }}
      onPointerLeave={() => onPoint(null)}
    >
      {children}
    </svg>
  );
}

interface ValueAxisProps {
  readonly values: readonly number[];
  /** The column whose values they are. */
  readonly column: string;
  readonly y: (value: number) => number;
  readonly left: number;
  readonly right: number;
}

export function ValueAxis({ values, column, y, left, right }: ValueAxisProps): JSX.Element {
  return (
    <>
      {values.map((value) => (
        <g key={value}>
          <line class={value === 0 ? 'zero' : 'grid'} x1={left} x2={right} y1={y(value)} y2={y(value)} />
          <text class="axis" x={left - 6} y={y(value) + 4} text-anchor="end">
            {tick(value, column)}
          </text>
        </g>
      ))}
    </>
  );
}
