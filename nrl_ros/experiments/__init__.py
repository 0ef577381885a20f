"""Studies: rules compared over tasks, depths and seeds in one process per core, without ROS.

``plan`` says what is asked, ``conditions`` which conditions that makes, ``trials`` what one run
is, ``run`` makes its record, ``store`` keeps it, ``schedule`` and ``driver`` bring the trials to an
engine (``engine``: processes, ``ray_engine``), and ``summary``, ``claims``, ``report``, ``figures``
say what came out.

A *condition* is a rule or a variant on one task at one depth; a *trial* is one run of a condition
with one seed and one point of the grid; a *job* is a trial as plain data, as a worker receives it.
"""
