// The first and the last leaf of some records, and the first and the last time of their events.

import { member, said } from "./json.js";

export const OF_VOLUME = ["first", "last", "since", "until"];
export const OF_BUNDLE = ["first_leaf", "last_leaf", "first_event", "last_event"];

export class Span {
  edges = [];

  /** Take in a leaf, and the time of its event; without one where its record was purged. */
  add(index, time) {
    const [first = index, , since = time, until = time] = this.edges;
    this.edges = [first, index];
    if (since !== undefined) this.edges.push(time < since ? time : since, time > until ? time : until);
  }

  take({ edges: [first, last, since, until] }) {
    if (first === undefined) return;
    this.add(first, since);
    this.add(last, until);
  }

  /** Where the manifest names other values. */
  *faults(name, manifest, members) {
    for (const [place, found] of this.edges.entries()) {
      const named = member(manifest, members[place]);
      if (named !== found) yield `${members[place]} of ${name} is ${found}, the manifest names ${said(named, 60)}`;
    }
  }
}
