#!/usr/bin/env python3
"""Show that nothing has changed: digests of weights and messages of short runs, recorded earlier.

    .venv/bin/python scripts/golden_trace.py              compare with tests/golden/traces.json
    .venv/bin/python scripts/golden_trace.py --ros        over ROS 2 too, with real nodes
    .venv/bin/python scripts/golden_trace.py --record     record anew

Each case (every task, every rule, and variants with arithmetic of their own) takes 1,000 steps with
fixed seeds, in two or three ways that must give one trace: message by message, as the loop that
trains in one process, and with --ros as nodes over DDS in lockstep. After every 100 steps there is
a digest of the weights and of the states, actions, rewards and reward-prediction errors up to then,
so that a difference is found with its block of 100 steps and its kind. Digests hold no numbers:
``--values`` prints those of the first block that differs, and ``--block N --values`` those of any
block, so that the output of two checkouts can be compared by ``diff``.

What a digest depends on: compiled arithmetic gives the same bits on every machine, yet numpy, the C
library and BLAS choose their instructions by the processor. The file therefore says on what it was
recorded: versions, instruction sets, and a digest of the results of the library functions in
question. On a machine that is another one in this sense differences prove nothing, and the script
says so; record there at the commit before a change, then compare at the one after it.
The test in the suite does the comparison with the file only on an equal machine, and holds the ways
against each other, within one run, everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

# isort: split
import numpy as np

from scripts import golden_runs
from scripts.golden_cases import Case, Cases, cases
from scripts.golden_machine import machine, other_machine
from scripts.golden_runs import FIELDS, Array, InProcess, Numbers

FILE = Path(__file__).resolve().parent.parent / 'tests' / 'golden' / 'traces.json'
STEPS, BLOCK = 1000, 100
BLOCKS = STEPS // BLOCK
# In the order in which one follows from the other.
STREAMS = ('states', 'rewards', 'rpes', 'weights', 'actions')
WAYS = ('messages', 'loop', 'ros')
# 64 bits tell any two traces apart, and keep the file small.
_DIGITS = 16
_SHOWN_RECORDS, _SHOWN_VALUES = 2, 12

Digests = dict[str, list[str | None]]


class Trace:
    """Everything that one run carried and learned, by blocks of steps."""

    def __init__(self) -> None:
        self.records: dict[str, list[list[tuple[int, Numbers]]]] = {
            stream: [[] for _ in range(BLOCKS)] for stream in FIELDS
        }
        self.weights: list[list[Array] | None] = [None] * BLOCKS

    def note(self, stream: str, number: int, values: Numbers) -> None:
        """Keep a record of a state number; what lies beyond the last block is left out."""
        if number < STEPS:
            self.records[stream][number // BLOCK].append((number, values))

    def note_weights(self, number: int, weights: list[Array]) -> None:
        """Keep the weights that a state number has left, where a block ends with it."""
        if number and number % BLOCK == 0:
            self.weights[number // BLOCK - 1] = weights

    def digests(self) -> Digests:
        """Return digests by stream and block, None where this way shows nothing.

        Messages: of the first block up to this one. Weights: of this moment alone, since all that
        was before is in them.
        """
        found: Digests = {
            'weights': [
                None if weights is None else _digest(_weight_bytes(weights))
                for weights in self.weights
            ]
        }
        for stream, blocks in self.records.items():
            chain = hashlib.sha256()
            found[stream] = []
            for block in blocks:
                for number, values in block:
                    chain.update(number.to_bytes(8, 'little'))
                    for array in values.values():
                        chain.update(array.size.to_bytes(8, 'little') + array.tobytes())
                found[stream].append(chain.hexdigest()[:_DIGITS])
            if not any(blocks):
                found[stream] = [None] * BLOCKS
        return found


def _weight_bytes(weights: list[Array]) -> bytes:
    return b''.join(np.ascontiguousarray(layer).tobytes() for layer in weights)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def run(way: str, case: Case, environment_steps: int = 0) -> tuple[Trace, int]:
    """Run a case in one of WAYS.

    Args:
        way: how.
        case: what.
        environment_steps: for 'ros', when to stop: what the other ways came to.

    Returns:
        Its trace, and the steps of all instances.
    """
    trace = Trace()
    if way == 'ros':
        # Only here, since all else runs without ROS.
        from scripts.golden_ros import over_ros

        with tempfile.TemporaryDirectory() as folder:
            over_ros(case, Path(folder), environment_steps, trace.note, trace.note_weights)
        if trace.weights[-1] is None:
            raise RuntimeError(f'{case.task}: the nodes did not stop after state {STEPS}')
        return trace, environment_steps
    made = InProcess(case)
    try:
        cycle = made.message_by_message if way == 'messages' else made.fused
        cycle(STEPS, trace.note, trace.note_weights)
        return trace, made.environment_steps
    finally:
        made.close()


def first_difference(expected: Digests, got: Digests) -> tuple[int, list[str]] | None:
    """Return the first block that differs, and its streams that do; None where all is equal."""
    for block in range(BLOCKS):
        streams = [
            stream
            for stream in STREAMS
            if got[stream][block] is not None
            and expected[stream][block] is not None
            and got[stream][block] != expected[stream][block]
        ]
        if streams:
            return block, streams
    return None


# ----------------------------------------------------------------------- file


def read(path: Path = FILE) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the machine of the recording, and what was recorded, by name of the case."""
    data = json.loads(path.read_text())
    return data['machine'], data['cases']


def case_of(recorded: dict[str, Any]) -> Case:
    """Return the settings of a recorded case."""
    return Case(recorded['task'], recorded['overrides'])


def record(every: Cases, path: Path) -> None:
    """Run all cases message by message and write the file."""
    traces = {}
    for name, case in every.items():
        trace, steps = run('messages', case)
        missing = [stream for stream, found in trace.digests().items() if None in found]
        if missing:
            raise SystemExit(f'{name}: no {", ".join(missing)} were seen; nothing was recorded')
        traces[name] = {
            **case._asdict(),
            'environment_steps': steps,
            'digests': {stream: ' '.join(map(str, trace.digests()[stream])) for stream in STREAMS},
        }
        print(f'recorded  {name}', flush=True)
    data = {'steps': STEPS, 'block': BLOCK, 'machine': machine(), 'cases': traces}
    path.write_text(json.dumps(data, indent=1) + '\n')


def compare(recorded: dict[str, Any], way: str) -> tuple[tuple[int, list[str]] | None, Trace]:
    """Run a recorded case; return its first difference, and what the run gave."""
    trace, _ = run(way, case_of(recorded), recorded['environment_steps'])
    expected: Digests = {stream: list(text.split()) for stream, text in recorded['digests'].items()}
    return first_difference(expected, trace.digests()), trace


def show_values(trace: Trace, block: int, streams: list[str]) -> None:
    """Print the numbers with which a block begins, and its weights, to every digit."""
    for stream in streams:
        print(f'  {stream} of steps {block * BLOCK} to {(block + 1) * BLOCK - 1}')
        if stream == 'weights':
            for number, layer in enumerate(trace.weights[block] or []):
                norm = float(np.linalg.norm(layer.astype(np.float64)))
                print(f'    layer {number}: norm {norm!r}, first {_some(layer)}')
            continue
        for number, values in trace.records[stream][block][:_SHOWN_RECORDS]:
            for name, array in values.items():
                print(f'    {number} {name} {_some(array)}')


def _some(array: Array) -> str:
    flat = array.reshape(-1)
    more = ' ...' if flat.size > _SHOWN_VALUES else ''
    return ' '.join(str(value) for value in flat[:_SHOWN_VALUES]) + more


def check(options: argparse.Namespace) -> bool:
    """Compare the chosen cases with the file; return whether all are equal."""
    made_on, recorded = read(options.file)
    others = other_machine(made_on)
    equal = True
    for name, case in recorded.items():
        if options.case and not any(part in name for part in options.case):
            continue
        for way in WAYS if options.ros else WAYS[:2]:
            difference, trace = compare(case, way)
            equal = equal and difference is None
            print(f'{"equal    " if difference is None else "DIFFERENT"} {name}, {way}', flush=True)
            if difference is not None:
                block, streams = difference
                end = (block + 1) * BLOCK
                print(f'  first in steps {block * BLOCK} to {end - 1}: {", ".join(streams)}')
            if options.values and options.block is not None:
                show_values(trace, options.block, list(STREAMS))
            elif options.values and difference is not None:
                show_values(trace, *difference)
    unrecorded = set(golden_runs.rule_names()) - {name.removeprefix('rule ') for name in recorded}
    if unrecorded:
        print(f'not recorded: the rules {", ".join(sorted(unrecorded))}')
    if others:
        print('This is another machine than that of the recording; differences may come from it:')
        print('\n'.join(f'  {line}' for line in others))
    return equal


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--record', action='store_true', help='write the file anew')
    parser.add_argument('--check', action='store_true', help='compare with the file (the default)')
    parser.add_argument('--ros', action='store_true', help='run over ROS 2 as well')
    parser.add_argument('--case', nargs='+', help='only cases whose name has one of these in it')
    parser.add_argument('--values', action='store_true', help='print numbers of what differs')
    parser.add_argument('--block', type=int, choices=range(BLOCKS), help='with --values: of it')
    parser.add_argument('--file', type=Path, default=FILE)
    options = parser.parse_args()
    if options.record:
        record(cases(golden_runs.task_names(), golden_runs.rule_names()), options.file)
        return 0
    return 0 if check(options) else 1


if __name__ == '__main__':
    sys.exit(main())
