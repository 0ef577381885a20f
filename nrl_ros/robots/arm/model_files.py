"""Find and read the files of arms' models, and refuse files that are no models."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from nrl_ros.base.config_files import is_package, package_folders
from nrl_ros.base.errors import ConfigError, nearest

MODELS_FOLDER = Path(__file__).parent / 'models'
# Vendors' largest descriptions have a few megabytes without their meshes.
_MOST_BYTES = 16 * 2**20
# In MJCF a link is nested in its parent; no real arm is nested this deeply.
_MOST_DEPTH = 200
_MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
    # The first character of XML, without a mark.
    (b'<\0', 'utf-16-le'),
    (b'\0<', 'utf-16-be'),
)
_DECLARED = re.compile(rb'^\s*<\?xml[^>]*encoding\s*=\s*["\']([A-Za-z0-9._:-]+)["\']')
# The package and the file in it, of a path into an installation.
_INSTALLED = re.compile(r'.*/share/([^/]+)/(.+)$')
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]+)://')
# Gazebo's name of a package is model://, as conversions of a URDF leave it.
_OF_PACKAGES = ('package', 'model')
_SCHEMES = ('', 'file', *_OF_PACKAGES)
_COMMENT = re.compile(r'<!--.*?-->', re.DOTALL)


def known_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.stem for path in MODELS_FOLDER.glob('*.xml'))


def locate(name: str, near: Path | None, packages: Sequence[Path] = ()) -> Path | None:
    """Return the file that a name stands for.

    Args:
        name: a path, absolute, with ``~`` or relative to ``near``; or ``file://`` or ``package://``,
            of which ``model://`` is Gazebo's name. A ``file://`` below ``share`` that is not here
            is looked for in its package.
        near: folder of the file in which the name stands; None for a text from a topic.
        packages: folders in which packages are looked for first.

    Returns:
        None where there is no such file or folder.
    """
    if not name or _scheme(name) not in _SCHEMES:
        return None
    if _scheme(name) in _OF_PACKAGES:
        package, _, rest = _uri_path(name).partition('/')
        # A package may be there twice, as sources and installed without its meshes.
        places = (folder / rest for folder in _packages(package, near, packages))
        return next((place for place in places if place.exists()), None)
    path = _beside(Path(_uri_path(name)), near)
    if path is None or path.exists():
        return path
    # A model that was expanded on another machine names the packages' places there.
    installed = _INSTALLED.match(path.as_posix()) if name.startswith('file:') else None
    if installed:
        return locate(f'package://{installed[1]}/{installed[2]}', near, packages)
    return None


def why_not_located(name: str, near: Path | None, packages: Sequence[Path] = ()) -> str:
    """Return why ``locate`` finds nothing, and how to mend it; its arguments are the same."""
    if not name:
        return 'not found: it has no file name'
    if (scheme := _scheme(name)) not in _SCHEMES:
        return f'not found: {scheme}:// is not followed, expected a path, package:// or file://'
    if scheme in _OF_PACKAGES:
        package, _, rest = _uri_path(name).partition('/')
        if folders := _packages(package, near, packages):
            return f'not found in {folders[0]}{_namesake(folders[0], rest)}'
        return (
            f'not found: package {package!r} is in no folder of package_paths, AMENT_PREFIX_PATH '
            'or ROS_PACKAGE_PATH'
        )
    path = _beside(Path(_uri_path(name)), near)
    if path is None:
        return 'not found: its path is relative, and the model is no file'
    return f'not found: {path} does not exist{in_another_case(path)}'


def _namesake(folder: Path, name: str) -> str:
    """Return a question if a file of the same name is elsewhere in a folder, or in another case."""
    wanted = Path(name).name.lower()
    same = [file for file in folder.rglob('*') if file.name.lower() == wanted]
    return nearest(name, [file.relative_to(folder).as_posix() for file in same])


def in_another_case(path: Path) -> str:
    """Return a question if a missing file exists with other upper and lower case, '' if not."""
    try:
        names = [each.name for each in path.parent.iterdir()] if str(path.parent) else []
    except OSError:
        return ''
    close = [name for name in names if name.lower() == path.name.lower()]
    return f', did you mean {close[0]!r}?' if close else ''


def _scheme(name: str) -> str:
    """Return what stands before ``://`` in a name; '' for a path."""
    found = _SCHEME.match(name)
    return found[1].lower() if found else ''


def _uri_path(name: str) -> str:
    """Return the path within a name; that of ``package://`` begins with the package."""
    if _scheme(name) in _OF_PACKAGES:
        return unquote(name.partition('://')[2])
    if name.startswith('file:'):
        return unquote(re.sub(r'^file:(//(localhost)?)?', '', name))
    return name


def _beside(path: Path, near: Path | None) -> Path | None:
    try:
        path = path.expanduser()
    except RuntimeError:
        # The path begins with ``~name``, and there is no user of that name.
        return None
    if path.is_absolute():
        return path
    return None if near is None else near / path


def _packages(name: str, near: Path | None, paths: Sequence[Path]) -> list[Path]:
    """Return the folders of a package: named, installed, or around the file that asks for it."""
    folders = package_folders(name, paths)
    if near is not None:
        for parent in (near.resolve(), *near.resolve().parents):
            if parent.name == name or is_package(parent, name):
                folders.append(parent)
            elif is_package(parent / name, name):
                # Packages of one repository or workspace lie beside each other.
                folders.append(parent / name)
    return folders


def read_model(path: Path) -> str:
    """Return the text of a model's file, whatever its encoding is.

    Raises:
        ConfigError: it cannot be read, is empty or too large, or is not text.
    """
    if path.is_dir():
        raise ConfigError(f'{path} is a folder, expected a URDF or MJCF file')
    try:
        with path.open('rb') as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror}') from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f'{path} is larger than {_MOST_BYTES} bytes: no model of an arm is')
    try:
        return _decoded(data)
    except (UnicodeError, LookupError) as error:
        raise ConfigError(f'{path} cannot be read as text: {error}; save it as UTF-8') from None


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), '')
    if not encoding:
        declared = _DECLARED.match(data[:200])
        encoding = declared[1].decode() if declared else 'utf-8'
    try:
        return data.decode(encoding)
    except UnicodeError:
        # Many files of CAD programs are Latin-1 and do not say so; what has zeros is no text in it.
        if encoding.lower() not in ('utf-8', 'ascii', 'us-ascii') or b'\0' in data:
            raise
        return data.decode('cp1252')


def root_of(text: str, name: str = 'the model') -> ElementTree.Element:
    """Return the root element of a model: ``robot`` of a URDF, ``mujoco`` of an MJCF.

    Args:
        text: URDF or MJCF.
        name: its name in errors, such as its path.

    Raises:
        ConfigError: the text is no model, or a xacro file that was not expanded.
    """
    text = _bare(text)
    if not text:
        raise ConfigError(f'{name} is empty, expected URDF or MJCF')
    if '<!ENTITY' in _COMMENT.sub('', text):
        raise ConfigError(f'{name} declares entities, which are not read: expand them before')
    try:
        root = _read(text, name)
    except ElementTree.ParseError as error:
        if '<xacro:' in text:
            raise unexpanded(name) from None
        ended = any(words in str(error) for words in ('no element found', 'unclosed token'))
        short = 'ends too early: ' * ended
        raise ConfigError(
            f'{name} is neither MJCF nor URDF: {short}{error}; it must be well-formed XML'
        ) from None
    if _is_xacro(root):
        raise unexpanded(name)
    if root.tag.startswith('{'):
        for element in root.iter():
            element.tag = element.tag.rpartition('}')[2]
    if root.tag not in ('robot', 'mujoco'):
        raise ConfigError(
            f'{name} is neither MJCF nor URDF: its outermost element is <{root.tag}>, expected '
            '<robot> or <mujoco>'
        )
    return root


def _bare(text: str) -> str:
    """Return a model without what stands around it, which other readers of URDFs pass over."""
    return text.strip('\ufeff\0 \t\r\n')


def _read(text: str, name: str) -> ElementTree.Element:
    """Return the root of a text, also of one whose comments hold what XML forbids in them (--)."""
    try:
        return _parsed(text, name)
    except ElementTree.ParseError:
        lines = _COMMENT.sub(lambda found: '\n' * found[0].count('\n'), text)
        if lines == text:
            raise
        try:
            return _parsed(lines, name)
        except ElementTree.ParseError:
            pass
        raise


def _parsed(text: str, name: str) -> ElementTree.Element:
    parser: Any = ElementTree.XMLPullParser(('start', 'end'))
    depth = 0
    root: ElementTree.Element | None = None
    # The text is fed in pieces, so that parsing stops before a tree of excessive depth is built.
    for start in range(0, len(text), 4096):
        parser.feed(text[start : start + 4096])
        for event, element in parser.read_events():
            root = element if root is None else root
            depth += 1 if event == 'start' else -1
            if depth > _MOST_DEPTH:
                raise ConfigError(f'{name} is nested more than {_MOST_DEPTH} elements deep')
    parser.close()
    assert root is not None
    return root


def _is_xacro(root: ElementTree.Element) -> bool:
    # An expanded file keeps the declaration of xacro's namespace, so only its elements and
    # expressions show that a file is not expanded.
    for element in root.iter():
        if str(element.tag).startswith('{') and 'xacro' in str(element.tag).partition('}')[0]:
            return True
        if any('${' in value or '$(' in value for value in element.attrib.values()):
            return True
    return False


def holds_xacro(text: str) -> bool:
    """Return whether a text is a xacro file that was not expanded; False if it is no XML at all."""
    if not any(sign in text for sign in ('xacro', '${', '$(')):
        return False
    try:
        return _is_xacro(_read(_bare(text), 'the model'))
    except ElementTree.ParseError:
        return '<xacro:' in text


def argument_text(value: Any) -> str:
    """Return an argument of a xacro file as xacro takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def unexpanded(name: str, arguments: Mapping[str, Any] | None = None, why: str = '') -> ConfigError:
    """Return the error of a xacro file that has to be expanded before it can be read.

    Args:
        name: its path.
        arguments: of the file.
        why: it could not be expanded here; '': xacro is not installed, or it came as a text.
    """
    path = Path(name)
    known = path.suffix != '' and ' ' not in path.name
    file = path.name if known else 'ARM.urdf.xacro'
    stem = file.removesuffix('.xacro').removesuffix('.urdf').removesuffix('.URDF')
    out = f'{stem}.urdf' if f'{stem}.urdf' != file else f'{stem}_expanded.urdf'
    given = ''.join(f' {name}:={argument_text(value)}' for name, value in (arguments or {}).items())
    failed = f', and could not be here: {why}; mend it, or xacro_arguments of the robot' * bool(why)
    return ConfigError(
        f'{name} holds xacro: this is a xacro file, which has to be expanded first{failed}: '
        f'`ros2 run xacro xacro {file}{given} -o {out}` (without ROS: `pip install xacro`, then '
        f'`xacro {file}{given} -o {out}`), then name {out} as model'
    )
