/** The comment of a view over all shards. */
import { expect, it } from 'vitest';
import { unionOfComments } from '../../src/query/across.ts';

it.each([
  [
    ['Events of type "Sent"', 'Events of type "Sent", "sent"', 'Events of type "SENT"'],
    'Events of type "Sent", "sent", "SENT"',
  ],
  [['Events of type "a", "b"', 'Events of type "a", "b"'], 'Events of type "a", "b"'],
  [['Rows by day', 'Rows by day', 'Rows of type "a"'], 'Rows by day; Rows of type "a"'],
  [['Events of type "a"', 'Logs of type "a"'], 'Events of type "a"; Logs of type "a"'],
  [[], ''],
])('of %j it is %j', (comments, union) => {
  expect(unionOfComments(comments)).toBe(union);
});
