"""The command ``nrl``: trains, evaluates, plots and inspects without launch files."""

from nrl_ros.base.installed import SCREEN, require

require(SCREEN)
