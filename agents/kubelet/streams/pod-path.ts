// What the API relays to a kubelet: `/api/v1/namespaces/N/pods/P/(log|exec|attach)` with its query (pure).

export type PodStream = 'log' | 'exec' | 'attach' | 'portforward';

export interface PodStreamRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly stream: PodStream;
  readonly query: URLSearchParams;
}

const PATH = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(log|exec|attach|portforward)$/;

export function parsePodPath(target: string): PodStreamRequest | undefined {
  let url: URL;
  try {
    url = new URL(target, 'https://kubelet');
    const [, namespace, pod, stream] = PATH.exec(url.pathname) ?? [];
    if (namespace === undefined || pod === undefined) return undefined;
    return {
      namespace: decodeURIComponent(namespace),
      pod: decodeURIComponent(pod),
      stream: stream as PodStream,
      query: url.searchParams,
    };
  } catch {
    return undefined;
  }
}
