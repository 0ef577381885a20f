"""The page on vendors' arms is what its script makes of the figures that lie beside it."""

from __future__ import annotations

import json

from scripts.arms_page import PAGE, RESULTS, page


def test_the_page_is_made_of_the_figures() -> None:
    arms = json.loads(RESULTS.read_text('utf-8'))
    assert PAGE.read_text('utf-8') == page(arms)
    assert len(arms) >= 15
    # Each was described without an edit, and reaches nearly all of its targets.
    assert not [name for name, arm in arms.items() if arm.get('reached', 0.0) < 0.97]
