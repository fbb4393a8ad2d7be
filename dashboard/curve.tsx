/** The curve of survival as SVG: the share of passes that are active, by age in days. */
import { scaleLinear, scaleSqrt } from 'd3-scale';
import { line } from 'd3-shape';
import type { JSX } from 'preact';
import type { Age } from './ages.ts';
import { figure, tick } from './locale.ts';

const HEIGHT = 220;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 26, 22, 38] as const;

interface CurveProps {
  readonly now: readonly Age[];
  readonly before: readonly Age[];
  readonly label: string;
  readonly width: number;
  readonly focus: number | null;
  readonly onFocus: (nth: number | null) => void;
}

export function Curve({ now, before, label, width, focus, onFocus }: CurveProps): JSX.Element {
  const oldest = Math.max(1, ...[...now, ...before].map(({ days }) => days));
  // Most passes that leave do so in the first days: the root gives these days room.
  const right = Math.max(LEFT + 20, width - RIGHT);
  const x = scaleSqrt([0, oldest], [LEFT, right]);
  const y = scaleLinear([0, 1], [HEIGHT - BOTTOM, TOP]);
  const draw = line<Age>(
    ({ days }) => x(days),
    ({ share }) => y(share),
  );
  const days = [...new Set([...now, ...before].map((age) => age.days))].sort((a, b) => a - b);
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${width} ${HEIGHT}`}
      width={width}
      height={HEIGHT}
      role="img"
      aria-label={label}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const at = ((event.clientX - box.left) / box.width) * width;
        const far = (age: Age | undefined): number => Math.abs(x(age?.days ?? 0) - at);
        onFocus(now.length === 0 ? null : now.reduce((best, age, nth) => (far(age) < far(now[best]) ? nth : best), 0));
      }}
      onPointerLeave={() => onFocus(null)}
    >
      {[0, 0.25, 0.5, 0.75, 1].map((share) => (
        <g key={share}>
          <line class={share === 0 ? 'zero' : 'grid'} x1={LEFT} x2={right} y1={y(share)} y2={y(share)} />
          <text class="axis" x={LEFT - 6} y={y(share) + 4} text-anchor="end">
            {tick(share, 'share')}
          </text>
        </g>
      ))}
      {days.map((age) => (
        <text key={age} class="axis" x={x(age)} y={HEIGHT - BOTTOM + 16} text-anchor="middle">
          {figure(age)}
        </text>
      ))}
      <text class="axis" x={LEFT} y={HEIGHT - 6}>
        days after the first installation
      </text>
      <path class="before s0" d={draw([...before]) ?? ''} />
      <path class="line s0" d={draw([...now]) ?? ''} />
      {now.map(({ days: age, share }, nth) => (
        <g key={age}>
          {nth === focus && <line class="cross" x1={x(age)} x2={x(age)} y1={TOP} y2={HEIGHT - BOTTOM} />}
          <circle class="dot s0" cx={x(age)} cy={y(share)} r={nth === focus ? 5 : 3.5} />
          {age > 0 && (
            <text class="name" x={x(age)} y={y(share) - 9} text-anchor="middle">
              {figure(share, 'share')}
            </text>
          )}
        </g>
      ))}
    </svg>
  );
}

/** The figures of one age in words. */
export function ageText(now: readonly Age[], before: readonly Age[], nth: number): string {
  const age = now[nth];
  if (age === undefined) return '';
  const earlier = before.find(({ days }) => days === age.days);
  const then = earlier === undefined ? '' : ` (before: ${figure(earlier.share, 'share')})`;
  return `After ${figure(age.days)} days: ${figure(age.share, 'share')}, ${figure(age.active)} of ${figure(age.passes)} passes${then}`;
}
