/** What a screen reader gets of the page: chromium's accessibility tree. */
import type { Page } from 'playwright-core';

export interface AccessibleNode {
  readonly role: string;
  readonly name: string;
  /** Such as `pressed` and `focusable`. */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly children: readonly AccessibleNode[];
}

interface Found {
  readonly nodeId: string;
  readonly ignored: boolean;
  readonly role?: { readonly value?: string };
  readonly name?: { readonly value?: string };
  readonly properties?: readonly {
    readonly name: string;
    readonly value: { readonly value?: unknown };
  }[];
  readonly childIds?: readonly string[];
}

/** All nodes that are not ignored, as a list, each with its children. */
export async function accessibleNodes(page: Page): Promise<readonly AccessibleNode[]> {
  const client = await page.context().newCDPSession(page);
  const { nodes }: { nodes: readonly Found[] } = await client.send('Accessibility.getFullAXTree');
  await client.detach();
  const byId = new Map(nodes.map((node) => [node.nodeId, node]));
  const build = (node: Found): AccessibleNode[] => {
    const children = (node.childIds ?? []).flatMap((id) => {
      const child = byId.get(id);
      return child ? build(child) : [];
    });
    if (node.ignored) return children;
    return [
      {
        role: node.role?.value ?? '',
        name: node.name?.value ?? '',
        properties: Object.fromEntries((node.properties ?? []).map(({ name, value }) => [name, value.value])),
        children,
      },
    ];
  };
  const flat = (node: AccessibleNode): AccessibleNode[] => [node, ...node.children.flatMap(flat)];
  const [root] = nodes;
  return root ? build(root).flatMap(flat) : [];
}

export const below = (node: AccessibleNode | undefined): readonly AccessibleNode[] =>
  (node?.children ?? []).flatMap((child) => [child, ...below(child)]);
