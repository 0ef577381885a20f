"""A public docstring begins with a verb, and names and prose use the words of ARCHITECTURE.md."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {'msg', 'srv', 'action'}

# Verbs in the imperative with which docstrings begin; a new one is added here if it is one.
WORDS = """
    Accept Act Activate Add Append Apply Ask Begin Bind Brake Bring Build Call Change Check
    Choose Clear Close Collect Command Compare Compute Configure Connect Continue Convert Copy
    Count Cut Deactivate Decide Declare Delete Deliver Describe Destroy Do Draw Drive Drop End
    Estimate Evaluate Expand Fill Find Finish Follow Forget Get Give Go Hand Hold Import Initialise
    Interrupt Join Judge Keep Know Learn Leave Let Load Lock Log Look Make Match Measure Merge Move
    Note Open Parse Pass Pause Post Prepare Print Publish Pull Push Put Raise Read Record Redraw
    Refuse Register Release Remove Repeat Replace Replay Report Reset Resolve Restore Return Run
    Save Say Score Seed Send Serve Set Show Shut Sleep Spin Split Start Stay Step Stop Subscribe
    Take Train Turn Unbind Undo Update Wait Warn Write Yield
"""
VERBS = frozenset(WORDS.split())
# With these a docstring says where or which something is, and not what it is.
PLACES = {'Where', 'Which', 'By', 'For', 'In', 'Also'}

# Words that had to be decoded, and those that took their place. A word counts where it is a whole
# part of a name, or stands in a comment or docstring; texts on the wire and in settings are free.
RETIRED = {
    'books': 'EpisodeTracker, WindowTracker',
    'Paid': 'ClosedWindows',
    'EpisodeEnds': 'FinishedEpisodes',
    'Inbox': 'InputMonitor',
    'Outbox': 'CommandChecker',
    'Verdict': 'SupervisorOutput',
    'DEAD_MAN': 'HEARTBEAT_LOST',
    'KnownRoom': 'GuardCache',
    'Beat': 'PeriodTick',
    'put_off': 'rescheduled',
    'wear': 'JointUsage',
    'sweep': 'motion_bound',
    'seat': 'frame, pose in its parent',
    'attach': 'on_configure',
    'strength': 'actuator_effectiveness',
    'of no meaning': 'ignored by',
    'there publish': 'publishers there:',
}
# The parameter fault.strength keeps its name for robot files and scripts.
KEPT = {('nrl_ros/settings/arm_driver.py', 'strength'), ('sim_bridge/arm_driver.py', 'strength')}

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


def without_subject(path: Path) -> list[str]:
    """Names of public classes and properties whose docstring begins without a subject or verb."""
    found = []
    for name, node in public(ast.parse(path.read_text(encoding='utf-8'))):
        text = ast.get_docstring(node)
        if text and not is_function(node) and text.split()[0] in {'As', 'Of', 'See', *PLACES}:
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


def words_of(text: str) -> Iterator[tuple[int, str]]:
    """Lines of a module with its names, as words, and with its comments and docstrings."""
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Module, Documented)) and ast.get_docstring(node)
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line = token.start[0]
        if token.type == tokenize.NAME:
            yield line, token.string
            yield line, token.string.replace('_', ' ')
        elif token.type == tokenize.COMMENT or line in docstrings:
            yield line, ' '.join(token.string.split())


def retired(path: Path) -> list[str]:
    """Retired words in a file, each with its line and the word to use."""
    name, found = str(path.relative_to(ROOT)), []
    for line, text in words_of(path.read_text(encoding='utf-8')):
        for word, better in RETIRED.items():
            if re.search(rf'\b{word}\b', text) and (name, word) not in KEPT:
                found.append(f'{name}:{line}: {word!r}, expected {better!r}')
    return found


def found(check: Callable[[Path], list[str]]) -> list[str]:
    """What a check finds in all files, each with its file."""
    return [f'{path.relative_to(ROOT)}: {text}' for path in sources() for text in check(path)]


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    assert not found(without_verb)


def test_docstrings_of_classes_and_properties_say_what_they_are() -> None:
    assert not found(without_subject)


def test_no_docstring_sends_its_reader_elsewhere() -> None:
    assert not found(sent_elsewhere)


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


def test_no_word_is_back_that_had_to_be_decoded() -> None:
    assert not [text for path in sources() for text in retired(path)]


def test_each_kept_word_is_still_needed() -> None:
    for name, word in KEPT:
        assert re.search(rf'\b{word}\b', (ROOT / name).read_text(encoding='utf-8')), name


def test_a_word_counts_in_names_and_prose_and_not_in_other_texts() -> None:
    text = '"""Its books."""\nfirst_books = 1\nsay = \'the books\'  # books\nclass Books: ...\n'
    lines = [line for line, words in words_of(text) if re.search(r'\bbooks\b', words)]
    assert lines == [1, 2, 3]
