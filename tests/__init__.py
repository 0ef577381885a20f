"""Tests of nrl_ros; a package, so that they find their own helpers and no other `tests`."""
