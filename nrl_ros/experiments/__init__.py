"""Studies: rules compared over tasks, depths and seeds with one process for each core, without ROS.

``plan`` reads the study file, ``conditions`` expands it into conditions, ``trials`` describes one
run, ``run`` makes its record, ``store`` keeps it, ``schedule`` and ``driver`` bring the trials to
an engine (``engine``: processes, ``ray_engine``), and ``summary``, ``claims``, ``report``,
``figures`` report the results.

A *condition* is a rule or a variant on one task at one depth. A *trial* is one run of a condition
with one seed and one point of the grid. A *job* is a trial as plain data, as a worker receives it.
"""
