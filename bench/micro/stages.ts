#!/usr/bin/env node
/** Prints the cost of every stage of the data path as one JSON array, in the order of a frame. */
import { captureStages } from './capture.js';
import { forwardStages } from './forward.js';
import { fragmentStages } from './fragment.js';
import { offloadStages } from './offload.js';
import { openStages } from './open.js';
import { rekeyStages } from './rekey.js';
import { relayStages } from './relay.js';
import { sealStages } from './seal.js';
import { costOf } from './timing.js';
import { writeStages } from './write.js';

const [split, join] = offloadStages();
const stages = [
  ...(split === undefined ? [] : [split]),
  ...[captureStages, forwardStages, fragmentStages, sealStages].flatMap((make) => make()),
  ...[openStages, rekeyStages, relayStages, writeStages].flatMap((make) => make()),
  ...(join === undefined ? [] : [join]),
];
console.log(JSON.stringify(stages.map(costOf)));
