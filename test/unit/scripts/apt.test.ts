// What is read from apt's output and from the machine's apt sources.
import { describe, expect, it } from '@jest/globals';
import { AptProgress, otherSuiteSource, parseAptPlan, refusePlan } from '../../../scripts/debian/apt.ts';
import { isVersionAtLeast, PACKAGES } from '../../../scripts/debian/catalogue.ts';

describe('parseAptPlan', () => {
  it('reads new, replaced and removed packages', () => {
    const plan = parseAptPlan(
      [
        'NOTE: This is only a simulation!',
        'Inst libnftnl11 (1.2.4-2 Debian:12.15/oldstable [amd64])',
        'Inst openssl [3.0.19-1~deb12u2] (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64]) []',
        'Remv old-thing [1.0]',
        'Conf libnftnl11 (1.2.4-2 Debian:12.15/oldstable [amd64])',
      ].join('\n'),
    );
    expect(plan).toEqual({
      installs: [
        { name: 'libnftnl11', version: '1.2.4-2' },
        { name: 'openssl', version: '3.0.22-1~deb12u2', replaces: '3.0.19-1~deb12u2' },
      ],
      removes: ['old-thing'],
    });
  });
});

describe('refusePlan', () => {
  it('refuses to exchange the C library', () => {
    const plan = parseAptPlan('Inst libc6 [2.36-9] (2.41-12 Debian:13/stable [amd64])');
    expect(refusePlan(plan)).toContain('libc6 2.36-9 → 2.41-12');
  });

  it('refuses to remove anything', () => {
    expect(refusePlan(parseAptPlan('Remv podman [4.3]'))).toContain('podman');
  });

  it('accepts new packages and upgrades of others', () => {
    expect(refusePlan(parseAptPlan('Inst libssl3 [3.0.19] (3.0.22 Debian [amd64])'))).toBeUndefined();
  });
});

describe('otherSuiteSource', () => {
  const deb822 = [
    'Types: deb',
    '# a comment',
    'URIs: http://mirror.example/debian-security',
    'Suites: bookworm-security',
    'Components: main',
    '',
    'Types: deb',
    'URIs: http://mirror.example/debian',
    'Suites: bookworm bookworm-updates',
    'Components: main contrib',
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
  ].join('\n');

  it('takes mirror and key from the deb822 source of the main archive', () => {
    expect(otherSuiteSource([{ file: 'debian.sources', text: deb822 }], 'bookworm', 'trixie')).toBe(
      'Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n' +
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
    );
  });

  it('takes them from a one-line source', () => {
    const text =
      '# deb http://off.example/debian bookworm main\ndeb [signed-by=/k.gpg] http://on.example/debian bookworm main\n';
    expect(otherSuiteSource([{ file: 'sources.list', text }], 'bookworm', 'trixie')).toBe(
      'Types: deb\nURIs: http://on.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n',
    );
  });

  it('finds nothing where no source is the main archive of this release', () => {
    const sources = [{ file: 'debian.sources', text: deb822 }];
    expect(otherSuiteSource(sources, 'bullseye', 'trixie')).toBeUndefined();
  });
});

describe('AptProgress', () => {
  it('counts fetched and set up packages', () => {
    const progress = new AptProgress(3);
    progress.onLine('Get:1 http://mirror.example bookworm/main amd64 bird2');
    progress.onLine('Unpacking bird2 (2.0.12-7) ...');
    expect(progress.onLine('Setting up bird2 (2.0.12-7) ...')).toBe('1 fetched, 1 set up, of 3');
  });
});

describe('isVersionAtLeast', () => {
  const etcd = { args: [], pattern: /Version: (\d+)\.(\d+)/, minimum: [3, 5] };
  it.each([
    ['etcd Version: 3.4.23', false],
    ['etcd Version: 3.5.16', true],
    ['etcd Version: 3.10.0', true],
    ['etcd Version: 4.0.1', true],
    ['garbage', false],
  ])('%s → %s', (output, expected) => {
    expect(isVersionAtLeast(output, etcd)).toBe(expected);
  });
});

describe('PACKAGES', () => {
  it('names each package once', () => {
    const names = PACKAGES.map((each) => each.name);
    expect(new Set(names).size).toBe(names.length);
  });
});
