"""Studies: rules compared over tasks, depths and seeds in one process per core, without ROS.

``plan`` says what is asked, ``arms`` what that comes to, ``cells`` what one run is, ``run`` makes
it, ``store`` keeps it, ``schedule`` and ``driver`` bring the cells to an engine (``processes``,
``ray_engine``), and ``summary``, ``claims``, ``report``, ``figures`` say what came out.
"""
