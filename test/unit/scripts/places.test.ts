// Where the suites of `npm test` run, by what the machine can do.
import { describe, expect, it } from '@jest/globals';
import { type Machine, type Place, placeOf } from '../../../scripts/places.ts';
import { SUITES, type SuiteName } from '../../../scripts/suites.ts';

const DEBIAN: Machine = {
  platform: 'linux',
  isRoot: true,
  hasNamespaces: true,
  hasPackages: true,
  hasEngine: false,
  isImageForced: false,
};

function placesOn(machine: Partial<Machine>): Record<SuiteName, Place['kind']> {
  const entries = SUITES.map((suite) => [suite.name, placeOf(suite, { ...DEBIAN, ...machine }).kind]);
  return Object.fromEntries(entries) as Record<SuiteName, Place['kind']>;
}

function reasonOn(machine: Partial<Machine>): string {
  const lab = SUITES.find(({ name }) => name === 'lab');
  if (lab === undefined) throw new Error('no suite lab');
  const place = placeOf(lab, { ...DEBIAN, ...machine });
  return place.kind === 'nowhere' ? place.reason : place.kind === 'testImage' ? place.why : '';
}

const ALL_HERE = {
  checks: 'here',
  unit: 'here',
  integration: 'here',
  lab: 'here',
  interop: 'here',
  containers: 'here',
};
const KERNEL_IN_IMAGE = { ...ALL_HERE, integration: 'testImage', lab: 'testImage', interop: 'testImage' };
const KERNEL_NOWHERE = { ...ALL_HERE, integration: 'nowhere', lab: 'nowhere', interop: 'nowhere' };

describe('placeOf', () => {
  it.each([
    ['root', {}],
    ['a user with user namespaces', { isRoot: false }],
    ['either, with an engine: directly is quicker', { isRoot: false, hasEngine: true }],
  ])('runs everything here for %s', (_, machine) => {
    expect(placesOn(machine)).toEqual(ALL_HERE);
  });

  it.each([
    ['without user namespaces', { isRoot: false, hasNamespaces: false }],
    ['as root of a container', { hasNamespaces: false }],
    ['where packages cannot be fetched', { hasPackages: false }],
    ['when it is asked for', { isImageForced: true }],
  ])('uses the test image %s, if an engine answers', (_, machine) => {
    expect(placesOn({ ...machine, hasEngine: true })).toEqual(KERNEL_IN_IMAGE);
    expect(placesOn(machine)).toEqual(KERNEL_NOWHERE);
  });

  it('runs the unit tests in the image as well where there is no /proc', () => {
    const machine = { platform: 'darwin', isRoot: false, hasNamespaces: false, hasPackages: false } as const;
    expect(placesOn({ ...machine, hasEngine: true })).toEqual({ ...KERNEL_IN_IMAGE, unit: 'testImage' });
    expect(placesOn(machine)).toEqual({ ...KERNEL_NOWHERE, unit: 'nowhere' });
  });

  it.each([
    [{ isRoot: false, hasNamespaces: false }, /user namespaces.*no Docker engine.*run this as root/],
    [{ hasNamespaces: false }, /SYS_ADMIN.*no Docker engine.*outside of the container/],
    [{ hasPackages: false }, /packages.*no Docker engine.*by hand/],
    [{ platform: 'darwin' } as const, /darwin.*no Docker engine.*Docker Desktop/],
    [{ isImageForced: true }, /CALICO_TS_TEST_IMAGE.*no Docker engine.*unset/],
    [{ isImageForced: true, hasEngine: true }, /CALICO_TS_TEST_IMAGE/],
    [{ hasNamespaces: false, isRoot: false, hasEngine: true }, /user namespaces/],
  ])('says why, and what to do: %j', (machine, pattern) => {
    expect(reasonOn(machine)).toMatch(pattern);
  });
});
