"""The shapes of a URDF's links that are compared: meshes become their convex hulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.hulls import read_hull
from nrl_ros.robots.arm.model_files import locate, why_not_located
from nrl_ros.robots.arm.urdf import check_shape, kind_of

Element = ElementTree.Element


class CollisionShapes:
    """Makes the collision shapes of a URDF ready for MuJoCo, link by link.

    A mesh that can be read becomes its convex hull. One that cannot be read is removed and named.
    A link that is left without any collision shape gets its visual ones.

    Args:
        folder: of the URDF, from which relative names count; None for a text.
        packages: folders in which packages are looked for first.

    Attributes:
        assets: OBJ files by the names that the URDF has for them from now on.
    """

    def __init__(self, folder: Path | None, packages: Sequence[Path] = ()) -> None:
        self._folder, self._packages = folder, packages
        self._known: dict[tuple[Path, tuple[float, float, float]], str] = {}
        self.assets: dict[str, bytes] = {}
        self._lost: dict[tuple[str, str], list[str]] = {}
        self._visual: list[str] = []

    @property
    def lost(self) -> tuple[str, ...]:
        """Meshes that are left out, with their links and the reason."""
        return tuple(
            f'{named} ({", ".join(dict.fromkeys(links))}): {why}'
            for (named, why), links in self._lost.items()
        )

    @property
    def visual(self) -> tuple[str, ...]:
        """Links whose visual shapes are compared, since they have no other."""
        return tuple(self._visual)

    def take(self, link: Element) -> None:
        """Make the shapes of a link ready; no visual element is left."""
        visuals = link.findall('visual')
        for element in visuals:
            link.remove(element)
        kept = [self._take(link, element) for element in link.findall('collision')]
        if any(kept) or not visuals:
            return
        for element in visuals:
            element.tag = 'collision'
            element.attrib.clear()
            for material in element.findall('material'):
                element.remove(material)
            link.append(element)
        if any([self._take(link, element, visual=True) for element in visuals]):
            self._visual.append(link.get('name', ''))

    def _take(self, link: Element, element: Element, *, visual: bool = False) -> bool:
        """Return whether a shape can be used; if not, it is removed and counts as lost."""
        mesh = element.find('geometry/mesh')
        name = link.get('name', '')
        if kind_of(element) is None:
            # Nothing is lost with a shape that is none.
            link.remove(element)
            return False
        try:
            if visual:
                check_shape(name, element)
            if mesh is not None:
                mesh.set('filename', self._asset(mesh))
                mesh.attrib.pop('scale', None)
            return True
        except ConfigError as error:
            link.remove(element)
            named = 'a visual shape' if mesh is None else mesh.get('filename', '')
            self._lost.setdefault((named, str(error)), []).append(name)
            return False

    def _asset(self, mesh: Element) -> str:
        """Return the name of the hull of a mesh among ``assets``."""
        named, scale = mesh.get('filename', ''), _scale(mesh.get('scale'))
        path = locate(named, self._folder, self._packages)
        if path is None:
            raise ConfigError(why_not_located(named, self._folder, self._packages))
        key = (path.resolve(), scale)
        if key not in self._known:
            hull = read_hull(path, scale)
            # Each hull gets a unique name: MuJoCo ignores folders, so that equal names would be one
            # mesh.
            name = f'nrl_mesh_{len(self._known)}.obj'
            self._known[key] = name
            self.assets[name] = hull
        return self._known[key]


def _scale(text: str | None) -> tuple[float, float, float]:
    if text is None:
        return (1.0, 1.0, 1.0)
    try:
        x, y, z = (float(part) for part in text.split())
    except ValueError:
        x = y = z = 0.0
    if not (math.isfinite(x * y * z) and x * y * z):
        raise ConfigError(f'its scale is {text!r}, expected three numbers other than 0')
    return (x, y, z)
