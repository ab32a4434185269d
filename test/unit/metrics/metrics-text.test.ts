// Prometheus' text form: labels that would end the line or the quotes are escaped.

import { describe, expect, it } from '@jest/globals';
import { MetricsText } from '../../../lib/metrics/metrics-text.ts';

describe('metrics as text', () => {
  it('has help and type once, and a line a sample', () => {
    const text = new MetricsText();
    text.gauge('a', 'How many.', 1);
    text.counter('b_total', 'Of a peer.', [
      { labels: { peer: 'x', type: 'open' }, value: 2 },
      { labels: { peer: 'y', type: 'open' }, value: 0 },
    ]);
    text.summary('c_seconds', 'Took.', { count: 3, seconds: 0.5 });
    expect(text.toString().split('\n')).toEqual([
      ...['# HELP a How many.', '# TYPE a gauge', 'a 1'],
      ...['# HELP b_total Of a peer.', '# TYPE b_total counter'],
      ...['b_total{peer="x",type="open"} 2', 'b_total{peer="y",type="open"} 0'],
      ...['# HELP c_seconds Took.', '# TYPE c_seconds summary', 'c_seconds_sum 0.5', 'c_seconds_count 3', ''],
    ]);
  });

  it('escapes what a label may not hold', () => {
    const text = new MetricsText();
    text.gauge('a', 'b', [{ labels: { peer: 'x"\\\ny' }, value: 1 }]);
    expect(text.toString()).toContain('a{peer="x\\"\\\\\\ny"} 1\n');
  });
});
