// Asks of a model in JavaScript whether it uses quality: `node diagnose.mjs study.json [settings.json] > result.json`.
//
// It speaks the protocol of `fuseline diagnose serve` (docs/frozen-models.md), with nothing but what Node brings. The
// study: {"classes", "modalities", "label" (a class number a row), "quality" (rows x modalities), "evidence" (rows x
// modalities x classes)}. The model weights each modality's probabilities by its quality: put yours in its place.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

const [study, settings] = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')));
if (!study) throw new Error('usage: node diagnose.mjs study.json [settings.json]');
if (endianness() !== 'LE') throw new Error('the numbers of the protocol are little-endian, and those of this machine are not');
const { classes, modalities, label, quality, evidence } = study;
const rows = label.length;

// Probabilities (rows, classes); `qualityOf` says the quality of a row in a modality.
function model(qualityOf) {
  const answer = new Float64Array(rows * classes.length);
  for (let row = 0; row < rows; row++) {
    const weights = modalities.map((_, modality) => qualityOf(row, modality));
    const total = weights.reduce((sum, weight) => sum + weight);
    classes.forEach((_, k) => {
      const sum = weights.reduce((sum, weight, modality) => sum + weight * evidence[row][modality][k], 0);
      answer[row * classes.length + k] = sum / total;
    });
  }
  return answer;
}

const means = modalities.map((_, modality) => quality.reduce((sum, row) => sum + row[modality], 0) / rows);
const command = spawn(process.env.FUSELINE ?? 'fuseline', ['diagnose', 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] });
const send = (numbers) => command.stdin.write(Buffer.from(numbers.buffer));

// The header, availability, quality, evidence.
const header = { protocol: 1, title: 'a model in JavaScript', example_id: null, group: null, label, classes, modalities };
command.stdin.write(JSON.stringify({ ...header, channels: 1, evidence: true, seconds: null, settings: settings ?? {} }) + '\n');
send(new Uint8Array(rows * modalities.length).fill(1));
send(Float64Array.from(quality.flat()));
send(Float64Array.from(evidence.flat(2)));

// Questions, and behind some an index: whose quality each row gets.
const input = command.stdout[Symbol.asyncIterator]();
let bytes = Buffer.alloc(0);
async function more() {
  const { value, done } = await input.next();
  if (done) throw new Error('fuseline has ended without a result');
  bytes = Buffer.concat([bytes, value]);
}
async function line() {
  while (!bytes.includes(10)) await more();
  const end = bytes.indexOf(10);
  const text = bytes.toString('utf8', 0, end);
  bytes = bytes.subarray(end + 1);
  return JSON.parse(text);
}
async function index(length) {
  while (bytes.length < 4 * length) await more();
  const found = new Uint32Array(Uint8Array.from(bytes.subarray(0, 4 * length)).buffer);
  bytes = bytes.subarray(4 * length);
  return found;
}

for (;;) {
  const message = await line();
  if (message.error) {
    console.error(message.error.message);
    process.exitCode = 2;
    break;
  }
  if (message.result) {
    console.log(JSON.stringify(message.result));
    break;
  }
  const { ask, count, columns } = message;
  if (ask === 'clean') send(model((row, modality) => quality[row][modality]));
  if (ask === 'neutral') send(model((_, modality) => means[modality]));
  if (ask !== 'broken' && ask !== 'mixed') continue;
  const donors = await index(count * columns * rows);
  for (let question = 0; question < count; question++) {
    const from = (modality) => (question * columns + (columns === 1 ? 0 : modality)) * rows;
    send(model((row, modality) => quality[donors[from(modality) + row]][modality]));
  }
}
command.stdin.end();
