"""Compare the paper's claims with the results: one row per claim, with the figure it rests on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nrl_ros.experiments.summary import Result, Table, median, slowdown

# IMPROVES: least share of the reference's gain that counts as an improvement. COST: largest share
# of performance that noisy reference passes may cost.
IMPROVES = 0.1
COST = 0.05
WITHIN = 1000
NEAR = 0.95


@dataclass(frozen=True)
class Claim:
    """A claim and the result for it.

    Attributes:
        number: as in the list of claims.
        text: the claim.
        holds: None if it cannot be decided, or if the row is a figure without a claim.
        figure: what was found.
    """

    number: str
    text: str
    holds: bool | None
    figure: str


def claims(table: Table) -> list[Claim]:
    """Return all claims that the study's results bear on."""
    makers: list[Callable[[Table], list[Claim]]] = [
        _quick, _passes, _rmhl, _slowdown, _near, _learned,
    ]  # fmt: skip
    return [claim for make in makers for claim in make(table)]


def _quick(table: Table) -> list[Claim]:
    """Check (1): NRL reaches 90 % of BP on Reaching within 1,000 episodes."""
    roles, found = table.study.roles, []
    for depth in table.study.depths:
        result = table.main(roles.reaching, roles.nrl, depth)
        if result is None or math.isnan(table.level(roles.reaching, depth)):
            continue
        episodes = table.episodes_to_level(result)
        text = f'NRL reaches 90 % of BP on Reaching within {WITHIN:,} episodes, depth {depth}'
        middle = median(episodes)
        holds = None if math.isnan(middle) else middle <= WITHIN
        figure = f'median {_count(middle)} episodes, {reached(episodes, WITHIN)} seeds within'
        found.append(Claim('1', text, holds, figure))
    return found


def least_passes(shares: Sequence[tuple[float, float]], cost: float = COST) -> float:
    """Return the least N from which on every N costs at most ``cost``; inf if there is none.

    Args:
        shares: N and performance as a share of that with a clean pass.
        cost: largest share that may be lost.
    """
    least = math.inf
    for passes, share in sorted(shares, reverse=True):
        if not share >= 1.0 - cost:
            break
        least = passes
    return least


def _passes(table: Table) -> list[Claim]:
    """Find (2): the least N of noisy reference passes that costs at most 5 %."""
    roles, found = table.study.roles, []
    for depth in sorted({r.condition.depth for r in table.section(roles.noisy)}):
        rows = table.section(roles.noisy, depth)
        task = rows[0].condition.task.name
        nrl = table.main(task, roles.nrl, depth)
        if nrl is None:
            continue
        shares = gains(table, rows, nrl)
        least = least_passes(shares)
        text = f'noisy references cost at most 5 % from some N on ({task}, depth {depth})'
        listed = ', '.join(f'N={passes:g}: {share:.0%}' for passes, share in shares)
        holds = None if any(math.isnan(share) for _, share in shares) else math.isfinite(least)
        figure = f'least N {_count(least)}; of the gain with a clean pass: {listed}'
        found.append(Claim('2', text, holds, figure))
    return found


def gains(table: Table, rows: Sequence[Result], base: Result) -> list[tuple[float, float]]:
    """Return each variant's value, and its gain over the floor as a share of the base's gain."""
    floor = table.main(base.condition.task.name, table.study.roles.floor, base.condition.depth)
    if floor is None or base.mean <= floor.mean:
        return [(row.condition.value or math.nan, math.nan) for row in rows]
    return [
        (row.condition.value, (row.mean - floor.mean) / (base.mean - floor.mean))
        for row in rows
        if row.condition.value is not None
    ]


def _rmhl(table: Table) -> list[Claim]:
    """Check (3): RMHL does not improve with 2 and 3 hidden layers while NRL does."""
    roles, found = table.study.roles, []
    for task in table.study.tasks:
        for depth in [depth for depth in table.study.depths if depth > 1]:
            pair = [table.main(task.name, name, depth) for name in (roles.rmhl, roles.nrl)]
            if pair[0] is None or pair[1] is None:
                continue
            rmhl, nrl = (table.share(task.name, depth, r.mean) for r in pair if r is not None)
            known = not (math.isnan(rmhl) or math.isnan(nrl))
            text = f'RMHL does not improve, NRL does ({task.name}, depth {depth})'
            figure = f"of BP's gain: RMHL {percent(rmhl)}, NRL {percent(nrl)}"
            holds = rmhl < IMPROVES <= nrl if known else None
            found.append(Claim('3', text, holds, figure))
    return found


def _slowdown(table: Table) -> list[Claim]:
    """Report (4): the slowdown per hidden layer."""
    roles, found = table.study.roles, []
    depths = sorted(table.study.depths)
    for task in table.study.tasks:
        for shallow, deep in zip(depths, depths[1:], strict=False):
            parts = []
            for name in (roles.nrl, roles.reference):
                pair = [table.main(task.name, name, depth) for depth in (shallow, deep)]
                if pair[0] is None or pair[1] is None:
                    continue
                ratio = slowdown(
                    median(table.episodes_to_level(pair[0])),
                    median(table.episodes_to_level(pair[1])),
                )
                parts.append(f'{pair[0].condition.label} {_ratio(ratio)}')
            if parts:
                text = f'episodes to 90 % of BP, depth {deep} over depth {shallow} ({task.name})'
                found.append(Claim('4', text, None, ', '.join(parts)))
    return found


def _near(table: Table) -> list[Claim]:
    """Check (5): NRL has at least 95 % of BP on Reaching at each depth."""
    roles, found = table.study.roles, []
    names = [name for name in (roles.nrl, roles.improved) if name]
    for name, depth in itertools.product(names, table.study.depths):
        nrl = table.main(roles.reaching, name, depth)
        reference = table.main(roles.reaching, roles.reference, depth)
        if nrl is None or reference is None:
            continue
        share = table.share(roles.reaching, depth, nrl.mean)
        raw = raw_share(nrl.mean, reference.mean)
        text = f'{nrl.condition.label} has at least 95 % of BP on Reaching, depth {depth}'
        holds = None if math.isnan(share) else share >= NEAR
        figure = f"{percent(share)} of BP's gain over the floor, raw {percent(raw)}"
        found.append(Claim('5', text, holds, figure))
    return found


def _learned(table: Table) -> list[Claim]:
    """Report (6): how many Acrobot seeds learn, per rule."""
    name, found = table.study.roles.acrobot, []
    task = next((task for task in table.study.tasks if task.name == name), None)
    if task is None or task.learned_at is None:
        return []
    for rule in table.study.rules:
        parts = []
        for depth in table.study.depths:
            result = table.main(name, rule.name, depth)
            if result is not None:
                count = sum(final >= task.learned_at for final in result.finals)
                parts.append(f'depth {depth}: {count} of {len(result.finals)}')
        if parts:
            text = f'Acrobot seeds that learn, {rule.label or rule.name} (≥ {task.learned_at:g})'
            found.append(Claim('6', text, None, ', '.join(parts)))
    return found


def raw_share(mean: float, reference: float) -> float:
    """Return the ratio of the returns themselves; NaN if the reference's is not positive."""
    return mean / reference if reference > 0.0 else math.nan


def reached(episodes: Sequence[float], limit: float) -> str:
    """Return in words how many of the seeds are within the limit."""
    return f'{sum(value <= limit for value in episodes)} of {len(episodes)}'


def percent(value: float) -> str:
    """Return a share in whole per cent, or a dash if it is unknown."""
    return '–' if math.isnan(value) else f'{value:.0%}'


def _count(value: float) -> str:
    if math.isnan(value):
        return '–'
    return 'never' if math.isinf(value) else f'{value:,.0f}'


def _ratio(value: float) -> str:
    if math.isnan(value):
        return '–'
    return 'never' if math.isinf(value) else f'×{value:.2f}'
