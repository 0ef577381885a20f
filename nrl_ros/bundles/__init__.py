"""Policies that leave the house: a folder with a graph and a manifest, and what plays it."""
