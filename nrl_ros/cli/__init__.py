"""The command ``nrl``: train, evaluate, plot and inspect without launch files."""

from nrl_ros.base.installed import SCREEN, require

require(SCREEN)
