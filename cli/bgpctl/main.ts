#!/usr/bin/env node
// bgpctl (docs/bgp.md "Looking glass").

import '../../lib/config/node-version.ts';
import { processInput } from '../command-line.ts';
import { runBgpctl } from './program.ts';

process.exitCode = await runBgpctl({ ...processInput(), env: process.env });
