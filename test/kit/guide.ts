/**
 * The fenced blocks of a docs page that CI carries out: ` ```c NAME ` writes a file, ` ```sh ` runs commands, ` ```text ` is
 * what the command before it prints.
 */
export type GuideStep =
  | { readonly kind: 'file'; readonly name: string; readonly text: string }
  | { readonly kind: 'command'; readonly text: string }
  | { readonly kind: 'output'; readonly text: string };

export function guideSteps(markdown: string): readonly GuideStep[] {
  const steps: GuideStep[] = [];
  for (const [, info = '', text = ''] of markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const [language, name] = info.split(' ');
    if (name !== undefined) steps.push({ kind: 'file', name, text });
    else if (language === 'text') steps.push({ kind: 'output', text });
    else if (language === 'sh')
      for (const line of text.split('\n')) if (line !== '') steps.push({ kind: 'command', text: line });
  }
  return steps;
}
