"""Says in one line what the page needs, where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from nrl_ros.base.errors import ConfigError


def require_server() -> None:
    """Check that the web server is installed, before anything is started.

    Raises:
        ConfigError: it is not, and how to mend it.
    """
    if find_spec('aiohttp') is None:
        raise ConfigError(
            "the page needs aiohttp: pip install 'nrl_ros[page]', or on Debian and Ubuntu: "
            'sudo apt install python3-aiohttp'
        )
