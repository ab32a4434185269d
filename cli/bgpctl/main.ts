#!/usr/bin/env node
// bgpctl (docs/bgp.md "bgpctl").

import { processInput } from '../command-line.ts';
import { runBgpctl } from './program.ts';

process.exitCode = await runBgpctl({ ...processInput(), env: process.env });
