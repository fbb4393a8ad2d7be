/** Totals by name as horizontal bars, with a tick where the period before ended. */
import type { JSX } from 'preact';
import { short } from './chart.tsx';
import type { Share } from './figures.ts';
import { figure } from './locale.ts';
import { linear } from './scale.ts';

const [ROW, LEFT, RIGHT, MOST] = [26, 130, 70, 12] as const;

export function Bars({
  shares,
  label,
  width,
}: {
  shares: readonly Share[];
  label: string;
  width: number;
}): JSX.Element {
  const shown = shares.slice(0, MOST);
  const most = Math.max(1, ...shown.flatMap(({ value, before }) => [value, before ?? 0]));
  const x = linear([0, most], [LEFT, Math.max(LEFT + 20, width - RIGHT)]);
  const rest = shares.length - shown.length;
  const height = shown.length * ROW + (rest > 0 ? 22 : 6);
  return (
    <svg class="chart" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label}>
      {shown.map(({ name, value, before }, nth) => (
        <g key={name} transform={`translate(0,${nth * ROW})`}>
          <title>{name}</title>
          <text class="name" x={LEFT - 8} y="17" text-anchor="end">
            {short(name, 18)}
          </text>
          <rect
            class={`bar ${name.startsWith('(') ? 's-other' : 's0'}`}
            x={LEFT}
            y="4"
            height={ROW - 8}
            width={x(value) - LEFT}
          />
          {before !== null && <line class="tick" x1={x(before)} x2={x(before)} y1="2" y2={ROW - 2} />}
          <text class="name" x={Math.max(x(value), x(before ?? 0)) + 6} y="17">
            {figure(value)}
          </text>
        </g>
      ))}
      {rest > 0 && (
        <text class="axis" x={LEFT} y={height - 6}>
          {`and ${rest} more, in the table`}
        </text>
      )}
    </svg>
  );
}
