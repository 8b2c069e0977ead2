// Serves actions over standard input and output, one JSON object a line.
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

// Modules are resolved from the environment whose directory is the first argument.
export const load = createRequire(path.join(process.argv[2], 'package.json'));

export async function serve(actions) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: action, ...args } = JSON.parse(line);
    let answer;
    try {
      answer = { result: (await actions[action](args)) ?? null };
    } catch (error) {
      answer = { error: `${error.code ?? ''} ${error.message}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
