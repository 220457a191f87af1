/** Entries of the threads that the router starts, relative to the built tree. */
export const THREADS: readonly string[] = [
  'fastdp/io/data-plane.worker.js',
  'dns/io/dns.worker.js',
];
