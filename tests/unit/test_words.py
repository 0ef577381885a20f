"""A public docstring begins with a verb: what is done to what, and what comes back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {'msg', 'srv'}

# Verbs in the imperative with which docstrings begin; a new one is added here if it is one.
WORDS = """
    Accept Act Activate Add Append Apply Ask Begin Bind Brake Bring Build Call Change Check
    Choose Clear Close Collect Command Compare Compute Configure Continue Convert Copy Count Cut
    Deactivate Decide Declare Delete Deliver Describe Do Draw Drive Drop End Estimate Evaluate
    Expand Fill Find Finish Follow Forget Get Give Go Hand Hold Import Initialise Interrupt Join
    Judge Keep Know Learn Leave Let Lock Log Look Make Measure Merge Move Note Open Parse Pause
    Post Prepare Print Publish Pull Push Put Raise Read Record Redraw Refuse Register Release
    Remove Replace Report Reset Resolve Restore Return Run Save Say Score Seed Send Serve Set
    Show Shut Spin Split Start Stay Step Stop Subscribe Take Train Turn Unbind Undo Update Wait
    Warn Write
"""
VERBS = frozenset(WORDS.split())

# Files whose docstrings are not written so yet, with the number of those that are not; none may
# join them, and a number may only fall.
NOT_YET: dict[str, int] = {
    'nrl_ros/cli/arm.py': 6,
    'nrl_ros/cli/display.py': 1,
    'nrl_ros/cli/evaluate.py': 1,
    'nrl_ros/learning/agent.py': 1,
    'nrl_ros/learning/baselines/critic.py': 8,
    'nrl_ros/learning/heads.py': 13,
    'nrl_ros/learning/kernels/cycle.py': 4,
    'nrl_ros/learning/kernels/library.py': 10,
    'nrl_ros/learning/kernels/traces.py': 5,
    'nrl_ros/learning/networks/feed_forward.py': 3,
    'nrl_ros/learning/networks/passes.py': 3,
    'nrl_ros/learning/networks/spiking.py': 2,
    'nrl_ros/learning/noise.py': 9,
    'nrl_ros/learning/optimisers.py': 10,
    'nrl_ros/learning/ornstein_uhlenbeck.py': 2,
    'nrl_ros/learning/policy.py': 4,
    'nrl_ros/learning/rules/__init__.py': 1,
    'nrl_ros/learning/rules/antithetic.py': 1,
    'nrl_ros/learning/rules/backpropagation.py': 4,
    'nrl_ros/learning/rules/base.py': 10,
    'nrl_ros/learning/rules/learned_reference.py': 1,
    'nrl_ros/learning/rules/node_perturbation.py': 3,
    'nrl_ros/learning/rules/noisy_reference.py': 3,
    'nrl_ros/learning/rules/random_policy.py': 2,
    'nrl_ros/learning/rules/reward_modulated_hebbian.py': 2,
    'nrl_ros/learning/rules/weight_perturbation.py': 4,
    'nrl_ros/learning/schedule.py': 4,
    'nrl_ros/learning/serving.py': 2,
    'nrl_ros/learning/snapshots.py': 5,
    'nrl_ros/learning/trace_choice.py': 1,
    'nrl_ros/learning/update.py': 3,
    'nrl_ros/settings/learner.py': 1,
    'nrl_ros/settings/neuromodulator.py': 2,
    'nrl_ros/settings/registry.py': 3,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef


def sources() -> list[Path]:
    """The product's own files, without what is generated."""
    files = [path for room in ('nrl_ros', 'sim_bridge') for path in (ROOT / room).rglob('*.py')]
    return [path for path in files if not GENERATED & set(path.relative_to(ROOT).parts)]


def public(node: ast.AST, prefix: str = '') -> Iterator[tuple[str, Documented]]:
    """Public functions, classes and their members, with dotted names; none inside of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Documented) and not child.name.startswith('_'):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f'{prefix}{child.name}.')
        elif isinstance(child, (ast.If, ast.Try)):
            yield from public(child, prefix)


def is_function(node: Documented) -> bool:
    """False of classes and of properties, which may be named by a noun."""
    names = [ast.unparse(decorator) for decorator in getattr(node, 'decorator_list', [])]
    described = any('property' in name or name.endswith('.setter') for name in names)
    return isinstance(node, Function) and not described


def without_verb(path: Path) -> list[str]:
    """Names of public functions of a file whose docstring does not begin with a known verb."""
    found = []
    for name, node in public(ast.parse(path.read_text(encoding='utf-8'))):
        text = ast.get_docstring(node)
        if text and is_function(node):
            first = text.split()[0].rstrip('.,:;')
            if first not in VERBS:
                found.append(f'{name}: {text.splitlines()[0]}')
    return found


def sent_elsewhere(path: Path) -> list[str]:
    """Names in a file whose whole docstring is ``See X.``, which says nothing of what they do."""
    found = []
    for name, node in public(ast.parse(path.read_text(encoding='utf-8'))):
        text = (ast.get_docstring(node) or '').strip()
        if text.startswith('See ') and '\n' not in text:
            found.append(f'{name}: {text}')
    return found


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    wrong = {}
    for path in sources():
        found = without_verb(path)
        if len(found) > NOT_YET.get(str(path.relative_to(ROOT)), 0):
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong


def test_a_list_of_files_that_are_not_done_has_no_file_that_is() -> None:
    paths = [ROOT / name for name in NOT_YET if (ROOT / name).is_file()]
    done = [str(path) for path in paths if not (without_verb(path) or sent_elsewhere(path))]
    assert not done


def test_no_docstring_sends_its_reader_elsewhere() -> None:
    places = {str(path.relative_to(ROOT)): sent_elsewhere(path) for path in sources()}
    assert not {name: found for name, found in places.items() if found and name not in NOT_YET}


def test_the_check_knows_what_is_no_verb(tmp_path: Path) -> None:
    path = tmp_path / 'riddle.py'
    path.write_text(
        'def steps():\n    """Of the step that was counted last."""\n'
        'def count():\n    """Count the steps."""\n'
        'class Row:\n    """A row."""\n'
        '    def ends(self):\n        """Whether it ends."""\n'
        '    @property\n    def size(self):\n        """Numbers in it."""\n'
    )
    assert [text.partition(':')[0] for text in without_verb(path)] == ['steps', 'Row.ends']
