/** One end of the traffic: a namespace and its address there. */
export interface Endpoint {
  readonly netns: string;
  readonly address: string;
}
