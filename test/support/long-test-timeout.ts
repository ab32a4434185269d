// Set-up of every Jest project but unit: what starts processes may wait for a busy machine. A test that is known to take
// longer says so itself.
import { jest } from '@jest/globals';

jest.setTimeout(120_000);
